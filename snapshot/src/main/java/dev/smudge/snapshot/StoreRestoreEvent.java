package dev.smudge.snapshot;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** A state of a store of save states was restored. */
@Name("smudge.StoreRestore")
@Label("Store Restore")
@Category("Smudge")
@Description("A state of a store of save states was restored")
@StackTrace(false)
final class StoreRestoreEvent extends Event {
  @Label("State")
  long state;

  @Label("Pages")
  long pages;
}
