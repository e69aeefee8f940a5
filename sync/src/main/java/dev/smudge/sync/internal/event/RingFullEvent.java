package dev.smudge.sync.internal.event;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** A vCPU waited, offline, for room in its dirty ring. */
@Name("smudge.RingFull")
@Label("Ring Full")
@Category("Smudge")
@Description("A vCPU waited, offline, for room in its dirty ring.")
@StackTrace(false)
public final class RingFullEvent extends Event {
  @Label("vCPU")
  public int vcpu;

  /** Makes one; it counts when it is committed. */
  public RingFullEvent() {}
}
