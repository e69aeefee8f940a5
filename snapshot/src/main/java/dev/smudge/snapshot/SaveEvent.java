package dev.smudge.snapshot;

import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** A rewind saved a state of the guest. */
@Name("smudge.Save")
@Label("Save")
@Category("Smudge")
@Description("A rewind saved a state of the guest")
@StackTrace(false)
final class SaveEvent extends Event {
  @Label("State")
  long state;

  @Label("Pages")
  long pages;

  @Label("Budget in Use")
  @DataAmount
  long usedBytes;
}
