package dev.smudge.kvm;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.smudge.bitmap.PageSet;
import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.core.GuestSlot;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/** A slot as the kernel has it, and what was fetched of its log. Under the collector lock. */
final class KernelSlot implements SlotTracker {
  /** What has changed in the kernel. */
  enum Change {
    ADDED,
    DELETED,
    REMOVED,
    STOPPED
  }

  /** Is told of changes. */
  interface Listener {
    void changed(KernelSlot slot, Change change);
  }

  private static final int CHUNK = 512; // words

  private final KvmVm vm;
  private final TrackedSlot slot;
  private final GuestSlot guest;
  private final boolean hasBitmap;
  private final Listener listener;
  private final int words;

  private final long[] chunk = new long[CHUNK];
  private @Nullable MemorySegment bitmap; // of the last fetch
  private @Nullable MemorySegment clearBuffer;
  private @Nullable PageSet kept; // came out of a ring when nobody was there to be told
  private boolean there;
  private boolean logs;

  /** Refuses what the kernel cannot have as a slot, before anything is stopped. */
  KernelSlot(KvmVm vm, TrackedSlot slot, boolean hasBitmap, Listener listener) {
    if (!(slot.attachment() instanceof GuestSlot ram)) {
      throw new IllegalArgumentException(
          "slot " + slot.id() + " has no RAM: the kernel needs slots of a GuestMemory");
    }
    if (ram.pageSize() != vm.pageSize()) {
      throw new IllegalArgumentException(
          "pages of " + ram.pageSize() + " bytes: the kernel tracks pages of " + vm.pageSize());
    }
    if (!ram.ram().isNative() || ram.ram().address() % vm.pageSize() != 0) {
      throw new IllegalArgumentException(
          "the kernel needs RAM outside the Java heap, which begins at a whole page: " + ram.ram());
    }
    this.vm = vm;
    this.slot = slot;
    this.guest = ram;
    this.hasBitmap = hasBitmap;
    this.listener = listener;
    this.words = (int) ((slot.pageCount() + 63) >>> 6);
  }

  int id() {
    return slot.id();
  }

  boolean logs() {
    return logs;
  }

  @Override
  public void add() {
    vm.slots().setTracked(slot.id(), 0, guest.guestAddress(), guest.ram());
    there = true;
    listener.changed(this, Change.ADDED);
  }

  @Override
  public void start() {
    vm.slots().setTracked(slot.id(), KvmVm.LOG_DIRTY_PAGES, guest.guestAddress(), guest.ram());
    logs = true;
  }

  @Override
  public void stop() {
    if (vm.isGone()) {
      return;
    }
    vm.slots().setTracked(slot.id(), 0, guest.guestAddress(), guest.ram());
    logs = false;
    kept = null;
    listener.changed(this, Change.STOPPED);
  }

  @Override
  public void remove() {
    if (!there) {
      return;
    }
    if (!vm.isGone()) {
      vm.slots().deleteTracked(slot.id());
      logs = false;
      listener.changed(this, Change.DELETED);
    }
    there = false;
    listener.changed(this, Change.REMOVED);
  }

  /** Keeps a page for the next fetch. */
  void keep(long page) {
    if (Long.compareUnsigned(page, slot.pageCount()) >= 0) {
      return; // forged
    }
    if (kept == null) {
      kept = new PageSet(slot.pageCount());
    }
    kept.add((int) (page >>> 6), 1L << page);
  }

  @Override
  public void collect(PageWordConsumer sink) {
    if (logs && hasBitmap) {
      handOutBitmap(sink);
    } else if (kept != null) {
      kept.forEachWord(sink);
      if (!there) {
        kept = null; // its last bits: told once
      }
    }
  }

  /** The kernel's bitmap, and what was kept. */
  private void handOutBitmap(PageWordConsumer sink) {
    MemorySegment fetched = bitmap;
    if (fetched == null) {
      fetched = newBuffer(words);
      bitmap = fetched;
    }
    vm.getDirtyLog(slot.id(), fetched);
    if (kept != null) {
      MemorySegment target = fetched;
      kept.forEachWord((word, bits) ->
          target.setAtIndex(JAVA_LONG, word, target.getAtIndex(JAVA_LONG, word) | bits));
    }
    long[] copy = chunk; // an array is read faster than a segment, by more than the copy costs
    for (int first = 0; first < words; first += CHUNK) {
      int length = Math.min(CHUNK, words - first);
      MemorySegment.copy(fetched, JAVA_LONG, (long) first * Long.BYTES, copy, 0, length);
      for (int i = 0; i < length; i++) {
        if (copy[i] != 0) {
          sink.accept(first + i, copy[i]);
        }
      }
    }
  }

  private static MemorySegment newBuffer(long words) {
    return Arena.ofAuto().allocate(words * Long.BYTES, Long.BYTES);
  }

  @Override
  public void clear(long firstPage, long pageCount, long[] pages) {
    slot.checkClearRange(firstPage, pageCount, pages);
    int length = (int) ((pageCount + 63) >>> 6);
    if (logs && hasBitmap) {
      MemorySegment buffer = clearBuffer;
      if (buffer == null || buffer.byteSize() < (long) length * Long.BYTES) {
        buffer = newBuffer(Math.max(64, length));
        clearBuffer = buffer;
      }
      MemorySegment.copy(pages, 0, buffer, JAVA_LONG, 0, length);
      vm.clearDirtyLog(slot.id(), firstPage, pageCount, buffer);
    }
    if (kept != null) { // armed already, by the reset
      for (int word = 0; word < length; word++) {
        kept.remove((int) (firstPage >>> 6) + word, pages[word]);
      }
    }
  }
}
