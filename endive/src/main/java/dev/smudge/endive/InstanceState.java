package dev.smudge.endive;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import run.endive.runtime.GlobalInstance;
import run.endive.runtime.Instance;
import run.endive.runtime.TableInstance;
import run.endive.wasm.types.DataSegment;
import run.endive.wasm.types.Element;
import run.endive.wasm.types.MutabilityType;

/**
 * What an instance has beside its memory, as it was at one moment: mutable globals, tables, element
 * segments and data segments. References are kept as they are; what they lead to is not copied.
 */
final class InstanceState {
  private final Instance instance;
  private final List<Global> globals = new ArrayList<>();
  private final List<Entry> entries = new ArrayList<>();
  private final int[] tableSizes;
  private final @Nullable Element[] elements;
  private final DataSegment @Nullable [] live; // the instance's own array
  private final DataSegment @Nullable [] segments;

  private record Global(GlobalInstance global, long low, long high, @Nullable Object reference) {}

  private record Entry(
      TableInstance table, int index, int ref, @Nullable Object object, @Nullable Instance of) {}

  InstanceState(TrackedMemory memory, Instance instance) {
    this.instance = instance;
    this.live = memory.segments();
    this.segments = live == null ? null : live.clone();
    for (int i = 0; i < instance.globalCount(); i++) {
      GlobalInstance global = instance.global(i);
      if (global.getMutabilityType() == MutabilityType.Var) {
        globals.add(
            new Global(global, global.getValueLow(), global.getValueHigh(), global.getRefValue()));
      }
    }
    this.tableSizes = new int[instance.tableCount()];
    for (int i = 0; i < tableSizes.length; i++) {
      TableInstance table = instance.table(i);
      tableSizes[i] = table.size();
      for (int index = 0; index < table.size(); index++) {
        entries.add(
            new Entry(table, index, table.ref(index), table.objRef(index), table.instance(index)));
      }
    }
    this.elements = new Element[instance.elementCount()];
    for (int i = 0; i < elements.length; i++) {
      elements[i] = instance.element(i);
    }
  }

  /**
   * Looks whether all of it can be restored.
   *
   * @throws IllegalStateException if a table has grown, which Endive cannot undo
   */
  void checkRestorable() {
    for (int i = 0; i < tableSizes.length; i++) {
      int size = instance.table(i).size();
      if (size != tableSizes[i]) {
        throw new IllegalStateException(
            "table "
                + i
                + " has grown from "
                + tableSizes[i]
                + " to "
                + size
                + " entries, which cannot be undone: make a new instance");
      }
    }
  }

  @SuppressWarnings("NullAway") // Endive has null where nothing is
  void restore() {
    for (Global was : globals) {
      was.global.setValueLow(was.low);
      was.global.setValueHigh(was.high);
      was.global.setRefValue(was.reference);
    }
    for (Entry was : entries) {
      was.table.setRef(was.index, was.ref, was.of);
      if (was.object != null || was.table.objRef(was.index) != null) {
        was.table.setObjRef(was.index, was.object, was.of);
      }
    }
    for (int i = 0; i < elements.length; i++) {
      instance.setElement(i, elements[i]);
    }
    if (live != null && segments != null) {
      System.arraycopy(segments, 0, live, 0, live.length);
    }
  }
}
