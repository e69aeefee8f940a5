package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.verify.PageContent;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What the pages of one slot contained when they were armed, for the verify mode. Under the
 * collector lock.
 *
 * <p>A page is known from the barrier after it was armed until it is reported again. While it is
 * known, a change of its content has to be reported; a known page that differs and was not reported
 * is a difference.
 */
final class SlotShadow {
  /** A page that has changed, and was not reported by the fetch before the look. */
  static final class Difference {
    final long page;
    final int offset; // in the page, of the first byte that differs
    final int before;
    final int now;
    final String between;
    long look; // that has seen it last
    long seenNanos;
    boolean barrierPassed; // since then

    Difference(long page, int offset, int before, int now, String between, long look) {
      this.page = page;
      this.offset = offset;
      this.before = before;
      this.now = now;
      this.between = between;
      this.look = look;
      this.seenNanos = System.nanoTime();
    }
  }

  private final Slot slot;
  private final TrackedSlot tracked;
  private final PageContent content;
  private final PageSet unknown;
  private final Map<Long, byte[]> copies = new HashMap<>(); // of known pages; without: all zero
  private final Map<Long, Difference> differences = new LinkedHashMap<>();
  private final List<PageSet> armed = new ArrayList<>(1); // and not reported since
  private final byte[] buffer;
  private final byte[] zeroes;
  private boolean failed;

  /** Makes one that knows no page. */
  SlotShadow(Slot slot, PageContent content) {
    this.slot = slot;
    this.tracked = slot.tracked();
    this.content = content;
    this.unknown = new PageSet(slot.pageCount());
    this.buffer = new byte[Math.toIntExact(tracked.pageSize())];
    this.zeroes = new byte[buffer.length];
    unknown.addAll();
  }

  Slot slot() {
    return slot;
  }

  Map<Long, Difference> differences() {
    return differences;
  }

  // Reports.

  /** Pages of one word were reported, or written by a client that knows them. */
  void reported(int wordIndex, long bits) {
    unknown.add(wordIndex, bits);
    for (PageSet pages : armed) {
      pages.remove(wordIndex, bits);
    }
    if (!differences.isEmpty()) {
      differences.keySet().removeIf(page -> page >>> 6 == wordIndex && (bits >>> page & 1) != 0);
    }
  }

  void reported(long firstPage, long count) {
    unknown.addRange(firstPage, count);
    for (PageSet pages : armed) {
      pages.removeRange(firstPage, count);
    }
    differences.keySet().removeIf(page -> page >= firstPage && page - firstPage < count);
  }

  // Known pages.

  /** {@return the pages that are armed now and not known, until the first report of each} */
  PageSet arm() {
    PageSet pages = new PageSet(slot.pageCount());
    pages.addAll(unknown);
    pages.removeAll(slot.fetched().told());
    armed.add(pages);
    return pages;
  }

  @SuppressWarnings("ReferenceEquality")
  void disarm(PageSet pages) {
    armed.removeIf(other -> other == pages);
  }

  /** Learns the content of pages that {@link #arm} has returned, after the barrier. */
  void learn(PageSet pages) {
    pages.forEachRun((first, count) -> {
      for (long page = first; page < first + count; page++) {
        content.read(tracked, page, buffer);
        if (Arrays.equals(buffer, zeroes)) {
          copies.remove(page);
        } else {
          copies.put(page, buffer.clone());
        }
        unknown.remove((int) (page >>> 6), 1L << page); // last: the copy is there
      }
    });
  }

  /** Compares the known pages, but for those that are differences already. */
  void compare(String between, long look) {
    PageSet told = slot.fetched().told();
    long words = (slot.pageCount() + 63) >>> 6;
    for (int word = 0; word < words; word++) {
      long known = ~(unknown.word(word) | told.word(word));
      if (word == words - 1) {
        known &= -1L >>> -slot.pageCount();
      }
      for (long rest = known; rest != 0; rest &= rest - 1) {
        compare(((long) word << 6) + Long.numberOfTrailingZeros(rest), between, look);
      }
    }
  }

  private void compare(long page, String between, long look) {
    if (differences.containsKey(page)) {
      return;
    }
    content.read(tracked, page, buffer);
    byte[] before = copies.getOrDefault(page, zeroes);
    int at = Arrays.mismatch(before, buffer);
    if (at >= 0) {
      differences.put(
          page, new Difference(page, at, before[at] & 0xff, buffer[at] & 0xff, between, look));
    }
  }

  /** Those that are being written count as seen by the look that comes. Before its fetch. */
  void excuseWritten(long nextLook) {
    for (Difference difference : differences.values()) {
      if (content.isBeingWritten(tracked, difference.page)) {
        difference.look = nextLook;
        difference.barrierPassed = false;
        difference.seenNanos = System.nanoTime();
      }
    }
  }

  /** {@return the error of the first time that the content could not be read, else null} */
  @Nullable RuntimeException cannotRead(RuntimeException error) {
    reported(0, slot.pageCount());
    boolean first = !failed;
    failed = true;
    return first ? error : null;
  }
}
