package dev.smudge.kvm;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.smudge.bitmap.PageSet;
import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.core.GuestSlot;
import dev.smudge.sync.LogSlot;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** A slot as the kernel has it, and what was fetched of its log. Under the collector lock. */
final class KernelSlot {
  private static final int CHUNK = 512; // words

  private final KvmVm vm;
  private final LogSlot slot;
  private final GuestSlot guest;
  private final int words;

  private final long[] chunk = new long[CHUNK];
  private @Nullable MemorySegment bitmap; // of the last fetch
  private @Nullable PageSet kept; // came out of a ring when nobody was there to be told
  private boolean logs;

  KernelSlot(KvmVm vm, LogSlot slot) {
    this.vm = vm;
    this.slot = slot;
    this.guest = (GuestSlot) Objects.requireNonNull(slot.attachment());
    this.words = (int) ((slot.pageCount() + 63) >>> 6);
    vm.setSlot(slot.id(), 0, guest.guestAddress(), guest.ram());
  }

  /** Refuses what the kernel cannot have as a slot, before anything is stopped. */
  static void check(KvmVm vm, LogSlot slot) {
    if (!(slot.attachment() instanceof GuestSlot guest)) {
      throw new IllegalArgumentException(
          slot + " has no RAM: the kernel needs slots of a GuestMemory, or one attached");
    }
    if (guest.pageSize() != vm.pageSize()) {
      throw new IllegalArgumentException(
          "pages of " + guest.pageSize() + " bytes: the kernel tracks pages of " + vm.pageSize());
    }
    MemorySegment ram = guest.ram();
    if (!ram.isNative() || ram.address() % vm.pageSize() != 0) {
      throw new IllegalArgumentException(
          "the kernel needs RAM outside the Java heap, which begins at a whole page: " + ram);
    }
  }

  boolean logs() {
    return logs;
  }

  void startLog() {
    vm.setSlot(slot.id(), KvmVm.LOG_DIRTY_PAGES, guest.guestAddress(), guest.ram());
    logs = true;
  }

  void stopLog() {
    vm.setSlot(slot.id(), 0, guest.guestAddress(), guest.ram());
    logs = false;
    kept = null;
  }

  void delete() {
    vm.deleteSlot(slot.id());
    logs = false;
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

  boolean hasKept() {
    return kept != null && !kept.isEmpty();
  }

  void handOutKept(PageWordConsumer sink) {
    if (kept != null) {
      kept.forEachWord(sink);
    }
  }

  /** The kernel's bitmap, and what was kept. */
  void handOutBitmap(PageWordConsumer sink) {
    MemorySegment fetched = bitmap;
    if (fetched == null) {
      fetched = Arena.ofAuto().allocate((long) words * Long.BYTES, Long.BYTES);
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

  void forgetKept(long firstPage, long[] bits, int length) {
    if (kept != null) {
      for (int word = 0; word < length; word++) {
        kept.remove((int) (firstPage >>> 6) + word, bits[word]);
      }
    }
  }
}
