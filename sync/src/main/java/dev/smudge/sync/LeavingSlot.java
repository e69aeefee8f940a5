package dev.smudge.sync;

import dev.smudge.bitmap.PageSet;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A slot that was removed, and where its pages have gone: into slots that were added by the same
 * change, the others to the remover. vCPUs and devices mark it still, until each has seen the
 * change; what is found here meanwhile is told as if they had marked the new slots. A batch may
 * give pages back later still. Under the collector lock.
 */
final class LeavingSlot {
  /** Pages that go to another slot, or, if that is null, to the remover. */
  record Carry(long fromPage, long pageCount, @Nullable LogSlot to, long toPage) {}

  private final LogSlot slot;
  private final List<Carry> carries; // every page is in one, or in several
  private final RemovedSlot removed;
  private final Runnable released;
  private boolean retired;
  private boolean toldReleased;

  LeavingSlot(RemovedSlot removed, List<Carry> carries, Runnable released) {
    this.slot = removed.slot();
    this.carries = new ArrayList<>(carries);
    this.released = released;
    this.removed = removed;
    List<Carry> sorted = new ArrayList<>(carries);
    sorted.sort(Comparator.comparingLong(Carry::fromPage));
    long end = 0;
    for (Carry carry : sorted) {
      addGap(end, carry.fromPage);
      end = Math.max(end, carry.fromPage + carry.pageCount);
    }
    addGap(end, slot.pageCount());
  }

  private void addGap(long from, long to) {
    if (from < to) {
      carries.add(new Carry(from, to - from, null, from));
    }
  }

  LogSlot slot() {
    return slot;
  }

  RemovedSlot removed() {
    return removed;
  }

  /** Pages are dirty for all clients. */
  void tell(long firstPage, long pageCount) {
    carry(firstPage, pageCount, null);
  }

  void forEachCarry(SlotRunConsumer consumer) {
    for (Carry carry : carries) {
      if (carry.to != null) {
        consumer.accept(carry.to, carry.toPage, carry.pageCount);
      }
    }
  }

  /** Pages are dirty for one client, or, if that is null, for all. */
  void carry(long firstPage, long pageCount, @Nullable DirtyClient client) {
    for (Carry carry : carries) {
      long first = Math.max(firstPage, carry.fromPage);
      long count = Math.min(firstPage + pageCount, carry.fromPage + carry.pageCount) - first;
      if (count > 0) {
        add(carry.to, carry.toPage + (first - carry.fromPage), count, client);
      }
    }
  }

  private void add(@Nullable LogSlot to, long first, long count, @Nullable DirtyClient client) {
    if (to == null) {
      removed.add(first, count);
    } else if (to.leaving != null) {
      to.leaving.carry(first, count, client); // removed in its turn
    } else if (client != null) {
      client.view(to).addRange(first, count);
    } else {
      for (PageSet view : to.views) {
        view.addRange(first, count);
      }
    }
  }

  /** Nobody marks it any more. */
  void retire() {
    retired = true;
    slot.retire();
  }

  /** Tells the remover, once, if nobody uses the slot any more. Without the lock. */
  void release(DirtyLog log) {
    boolean now;
    log.lock().lock();
    try {
      now = retired && slot.holders == 0 && !toldReleased;
      toldReleased |= now;
    } finally {
      log.lock().unlock();
    }
    if (now) {
      released.run();
    }
  }
}
