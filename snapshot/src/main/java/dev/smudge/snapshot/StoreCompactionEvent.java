package dev.smudge.snapshot;

import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** The file of a store of save states was written anew. */
@Name("smudge.StoreCompaction")
@Label("Store Compaction")
@Category("Smudge")
@Description("The file of a store of save states was written anew")
@StackTrace(false)
final class StoreCompactionEvent extends Event {
  @Label("Bytes Before")
  @DataAmount
  long before;

  @Label("Bytes After")
  @DataAmount
  long after;
}
