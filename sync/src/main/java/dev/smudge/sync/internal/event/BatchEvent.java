package dev.smudge.sync.internal.event;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import org.jspecify.annotations.Nullable;

/**
 * A client had a batch: from the end of its take until it was closed. Pages that were not
 * acknowledged by then are dirty for the client again.
 */
@Name("smudge.Batch")
@Label("Batch")
@Category("Smudge")
@Description("A client had a batch: from the end of its take until it was closed")
@StackTrace(false)
public final class BatchEvent extends Event {
  @Label("Client")
  public @Nullable String client;

  @Label("Pages Given Back")
  public long givenBack;

  /** Makes one; it counts when it is committed. */
  public BatchEvent() {}
}
