package dev.smudge.sync.internal.event;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import jdk.jfr.Timespan;
import org.jspecify.annotations.Nullable;

/** A client took dirty pages: from the fetch to the end of the barrier. */
@Name("smudge.Take")
@Label("Take")
@Category("Smudge")
@Description("A client took dirty pages: from the fetch to the end of the barrier.")
@StackTrace(false)
public final class TakeEvent extends Event {
  @Label("Client")
  public @Nullable String client;

  @Label("Pages")
  public long pages;

  @Label("Barrier")
  @Timespan(Timespan.NANOSECONDS)
  public long barrier;

  /** Makes one; it counts when it is committed. */
  public TakeEvent() {}
}
