package dev.smudge.sync.internal.event;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** A thread waited until every vCPU had passed a safepoint, or was offline. */
@Name("smudge.Barrier")
@Label("After-Sync Barrier")
@Category("Smudge")
@Description("A thread waited until every vCPU had passed a safepoint, or was offline.")
@StackTrace(false)
public final class BarrierEvent extends Event {
  @Label("vCPUs")
  public int vcpus;

  /** Makes one; it counts when it is committed. */
  public BarrierEvent() {}
}
