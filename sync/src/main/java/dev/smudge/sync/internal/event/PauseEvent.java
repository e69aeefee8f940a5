package dev.smudge.sync.internal.event;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import jdk.jfr.Timespan;

/** The vCPUs were stopped: from the request until they were let go. */
@Name("smudge.Pause")
@Label("Pause")
@Category("Smudge")
@Description("The vCPUs were stopped: from the request until they were let go.")
@StackTrace(false)
public final class PauseEvent extends Event {
  @Label("Until All Stood Still")
  @Timespan(Timespan.NANOSECONDS)
  public long stopping;

  /** Makes one; it counts when it is committed. */
  public PauseEvent() {}
}
