package dev.smudge.snapshot;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** A guest was set back to its base image. */
@Name("smudge.Reset")
@Label("Reset")
@Category("Smudge")
@Description("A guest was set back to its base image")
@StackTrace(false)
final class ResetEvent extends Event {
  @Label("Pages")
  long pages;
}
