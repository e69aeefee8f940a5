package dev.smudge.snapshot;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** A rewind stepped to another state, or jumped there. */
@Name("smudge.Restore")
@Label("Restore")
@Category("Smudge")
@Description("A rewind stepped to another state, or jumped there")
@StackTrace(false)
final class RestoreEvent extends Event {
  @Label("State")
  long state;

  @Label("Pages")
  long pages;
}
