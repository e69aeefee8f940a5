package dev.smudge.jcstress;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.atomic.AtomicInteger;

/** The ring in ten lines; tests leave out an ordering of it by another method in place of one. */
class ModelRing extends RingRoles {
  static final int DIRTY = 1;
  static final int RESET = 2;
  private static final VarHandle FLAGS = MethodHandles.arrayElementVarHandle(int[].class);

  final int[] flags = new int[ENTRIES];
  final int[] slotIds = new int[ENTRIES];
  final long[] pages = new long[ENTRIES];
  final AtomicInteger resetCount = new AtomicInteger();

  int harvestCount; // the harvester's
  int done; // the resetter's

  @Override
  boolean push(int page) {
    if (page >= resetCount.getAcquire() + ENTRIES) { // R4
      return false;
    }
    slotIds[page % ENTRIES] = page;
    pages[page % ENTRIES] = page;
    setRelease(page, DIRTY); // R1
    return true;
  }

  @Override
  boolean harvest() {
    if (getAcquire(harvestCount) != DIRTY) { // R1
      return false;
    }
    harvested(slotIds[harvestCount % ENTRIES], pages[harvestCount % ENTRIES]);
    setRelease(harvestCount++, RESET); // R2
    return true;
  }

  @Override
  boolean reset() {
    if (getAcquire(done) != RESET) { // R2
      return false;
    }
    armed(slotIds[done % ENTRIES], pages[done % ENTRIES]);
    setOpaque(done++, 0); // R3
    resetCount.setRelease(done); // R4
    return true;
  }

  final int getAcquire(int entry) {
    return (int) FLAGS.getAcquire(flags, entry % ENTRIES);
  }

  final void setRelease(int entry, int value) {
    FLAGS.setRelease(flags, entry % ENTRIES, value);
  }

  final void setOpaque(int entry, int value) {
    FLAGS.setOpaque(flags, entry % ENTRIES, value);
  }
}
