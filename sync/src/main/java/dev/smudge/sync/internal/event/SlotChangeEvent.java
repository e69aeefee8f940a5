package dev.smudge.sync.internal.event;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** Slots were added and removed in one step. */
@Name("smudge.SlotChange")
@Label("Slot Change")
@Category("Smudge")
@Description("Slots were added and removed in one step.")
@StackTrace(false)
public final class SlotChangeEvent extends Event {
  @Label("Slots Added")
  public int added;

  @Label("Slots Removed")
  public int removed;

  /** Makes one; it counts when it is committed. */
  public SlotChangeEvent() {}
}
