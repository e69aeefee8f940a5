package dev.smudge.snapshot;

import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import jdk.jfr.Timespan;

/** A state was written into a store of save states. */
@Name("smudge.StoreSave")
@Label("Store Save")
@Category("Smudge")
@Description("A state was written into a store of save states")
@StackTrace(false)
final class StoreSaveEvent extends Event {
  @Label("State")
  long state;

  @Label("Pages")
  long pages;

  @Label("Bytes")
  @DataAmount
  long bytes;

  @Label("Disk")
  @Timespan(Timespan.NANOSECONDS)
  long disk;
}
