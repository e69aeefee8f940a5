package dev.smudge.snapshot;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** What a state is made of was copied, for a guest that runs while it is written. */
@Name("smudge.StoreCapture")
@Label("Store Capture")
@Category("Smudge")
@Description("What a state is made of was copied, for a guest that runs while it is written")
@StackTrace(false)
final class StoreCaptureEvent extends Event {
  @Label("Pages")
  long pages;
}
