package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import dev.smudge.sync.internal.stack.StackRoom;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * A slot that was removed, and where its pages have gone: into slots that were added by the same
 * change, the others to the remover. vCPUs and devices mark it still, until each has seen the
 * change; what is found here meanwhile is told as if they had marked the new slots. A batch may
 * give pages back later still. Under the collector lock.
 */
final class LeavingSlot {
  /** Pages that go to another slot, or, if that is null, to a remover. */
  record Carry(
      long fromPage, long pageCount, @Nullable Slot to, long toPage, @Nullable RemovedPages lost) {
    /** Pages of another slot's. */
    Carry(long fromPage, long pageCount, Slot to, long toPage) {
      this(fromPage, pageCount, to, toPage, null);
    }
  }

  /** Receives the pages of a new slot that are carried over. */
  interface CarryConsumer {
    void accept(Slot to, long firstPage, long pageCount);
  }

  private final Slot slot;
  private List<Carry> carries; // every page is in one, or in several
  private final RemovedPages removed;
  private final Runnable whenReleased;
  private boolean released; // of whoever has claimed it

  /** A thread is about to release it. Set under the lock, cleared by that thread (T3). */
  volatile boolean claimed;

  LeavingSlot(RemovedPages removed, List<Carry> carries, Runnable whenReleased) {
    this.slot = removed.slot();
    this.carries = new ArrayList<>(carries);
    this.whenReleased = whenReleased;
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
      carries.add(new Carry(from, to - from, null, from, removed));
    }
  }

  Slot slot() {
    return slot;
  }

  /** Pages are dirty for all clients. */
  void tell(long firstPage, long pageCount) {
    carry(firstPage, pageCount, null);
  }

  void tellAll() {
    tell(0, slot.pageCount());
  }

  void forEachCarry(CarryConsumer consumer) {
    for (Carry carry : carries) {
      if (carry.to != null) {
        consumer.accept(carry.to, carry.toPage, carry.pageCount);
      }
    }
  }

  /** Pages are dirty for one client, or, if that is null, for all. */
  void carry(long firstPage, long pageCount, @Nullable ClientView client) {
    for (Carry carry : carries) {
      long first = Math.max(firstPage, carry.fromPage);
      long count = Math.min(firstPage + pageCount, carry.fromPage + carry.pageCount) - first;
      if (count > 0) {
        add(carry, carry.toPage + (first - carry.fromPage), count, client);
      }
    }
  }

  private static void add(Carry carry, long first, long count, @Nullable ClientView client) {
    Slot to = carry.to;
    if (to == null) {
      if (carry.lost != null) {
        carry.lost.add(first, count);
      }
      return;
    }
    LeavingSlot next = to.views().leaving();
    if (next != null) {
      next.carry(first, count, client); // removed in its turn
    } else if (client != null) {
      client.of(to).addRange(first, count);
    } else {
      to.views().tellRange(first, count);
    }
  }

  /** Adds pages to sets of the slots that took them over, if any did. Outside a swap. */
  void copyInto(long firstPage, long pageCount, Function<Slot, PageSet> sets) {
    for (Carry carry : carries) { // one step each (leadPast)
      long first = Math.max(firstPage, carry.fromPage);
      long count = Math.min(firstPage + pageCount, carry.fromPage + carry.pageCount) - first;
      if (count > 0 && carry.to != null) {
        sets.apply(carry.to).addRange(carry.toPage + (first - carry.fromPage), count);
      }
    }
  }

  /** It was not removed after all. */
  void comeBack() {
    slot.views().comeBack();
    removed.clear();
  }

  /** All that goes to the remover is dirty, whatever the set says. */
  void doubt() {
    removed.addAll();
    for (Carry carry : carries) {
      if (!removed.equals(carry.lost)) {
        removed.remove(carry.fromPage, carry.pageCount);
      }
    }
  }

  /** Whether a batch has pages of it. */
  boolean isHeld() {
    return slot.views().isHeld();
  }

  /**
   * Pages that go to a slot that was removed in its turn go from now on to where that sends them:
   * so no way has more than one step, and a slot can be released in any order.
   */
  void leadPast() {
    if (carries.stream().noneMatch(carry -> next(carry) != null)) {
      return;
    }
    List<Carry> past = new ArrayList<>();
    for (Carry carry : carries) {
      LeavingSlot next = next(carry);
      if (next == null) {
        past.add(carry);
      } else {
        next.addPast(carry, past);
      }
    }
    carries = past;
  }

  private static @Nullable LeavingSlot next(Carry carry) {
    return carry.to == null ? null : carry.to.views().leaving();
  }

  private void addPast(Carry before, List<Carry> past) {
    for (Carry carry : carries) {
      long first = Math.max(before.toPage, carry.fromPage);
      long count =
          Math.min(before.toPage + before.pageCount, carry.fromPage + carry.pageCount) - first;
      if (count > 0) {
        past.add(
            new Carry(
                before.fromPage + (first - before.toPage),
                count,
                carry.to,
                carry.toPage + (first - carry.fromPage),
                carry.lost));
      }
    }
  }

  /** Nobody uses it any more: whoever keeps it does not keep all that came after it. */
  void cut() {
    carries = List.of();
  }

  /** Tells the remover. Once, without the lock; not where there is no stack for what that does. */
  void release(Consumer<? super Throwable> errorHandler) {
    if (released) {
      return;
    }
    StackRoom.check(StackRoom.RELEASE);
    released = true;
    try {
      whenReleased.run();
    } catch (Throwable e) {
      // It has no caller that could mend it: another slot's release must not wait for this one.
      errorHandler.accept(e);
    }
  }
}
