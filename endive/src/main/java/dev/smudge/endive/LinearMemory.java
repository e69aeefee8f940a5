package dev.smudge.endive;

import dev.smudge.core.GuestSlot;
import run.endive.runtime.Memory;
import run.endive.wasm.types.MemoryLimits;

/** What the facades of one linear memory share: its slot, its size, its waiters. */
final class LinearMemory {
  final GuestSlot slot;
  final MemoryLimits limits;
  final int maximumPages;
  final WaitQueues waiters = new WaitQueues();

  /**
   * Never shrinks while a guest runs: a facade that knows an older size refuses nothing wrongly, it
   * looks again.
   */
  private volatile int pages;

  LinearMemory(GuestSlot slot, MemoryLimits limits) {
    long room = slot.size() / Memory.PAGE_SIZE;
    if (limits.initialPages() > Math.min(room, Memory.RUNTIME_MAX_PAGES)) {
      throw new IllegalArgumentException(
          limits
              + ": "
              + limits.initialPages()
              + " pages of 64 KiB do not fit into "
              + slot
              + ", which has room for "
              + room
              + ", nor into the "
              + Memory.RUNTIME_MAX_PAGES
              + " of a memory");
    }
    this.slot = slot;
    this.limits = limits;
    this.maximumPages =
        (int) Math.min(room, Math.min(limits.maximumPages(), Memory.RUNTIME_MAX_PAGES));
    this.pages = limits.initialPages();
  }

  int pages() {
    return pages;
  }

  /** Bytes, at most 2^31 - 2^16. */
  int size() {
    return Memory.bytes(pages);
  }

  synchronized int grow(int more) {
    int before = pages;
    int after = before + more;
    if (after > maximumPages || after < before) {
      return -1;
    }
    pages = after;
    return before;
  }

  /** The size is that of an image again: fewer pages, or more if an older image was restored. */
  synchronized void resetPages(int imagePages) {
    pages = imagePages;
  }
}
