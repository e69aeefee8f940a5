package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.verify.PageContent;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What is known of the pages of one slot since they were armed, for the verify mode. Under the
 * collector lock.
 *
 * <p>A page is known from the barrier after it was armed until it is reported again. While it is
 * known, a write to it has to be reported; a known page that was written and not reported is a
 * difference. How it is seen that a page was written, {@link VerifiedByCopies} and {@link
 * VerifiedByOracle} know.
 */
abstract class VerifiedSlot {
  /** A page that was written, and was not reported by the fetch before the look. */
  static final class Difference {
    final long page;
    final int offset; // in the page, of the first byte that differs; 0 where that is not known
    final String what; // has happened to the page
    final String between;
    long look; // that has seen it last
    long seenNanos;
    boolean barrierPassed; // since then
    boolean beingWritten; // by a write that marks when it has landed

    Difference(long page, int offset, String what, String between, long look) {
      this.page = page;
      this.offset = offset;
      this.what = what;
      this.between = between;
      this.look = look;
      this.seenNanos = System.nanoTime();
    }
  }

  private final Slot slot;
  private final TrackedSlot tracked;
  private final @Nullable PageContent content;
  private final PageSet unknown;
  private final Map<Long, Difference> differences = new LinkedHashMap<>();
  private final List<PageSet> armed = new ArrayList<>(1); // and not reported since
  private boolean failed;

  /** Makes one that knows no page. */
  VerifiedSlot(Slot slot, @Nullable PageContent content) {
    this.slot = slot;
    this.tracked = slot.tracked();
    this.content = content;
    this.unknown = new PageSet(slot.pageCount());
    unknown.addAll();
  }

  Slot slot() {
    return slot;
  }

  TrackedSlot tracked() {
    return tracked;
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
      forget((long) wordIndex << 6, 64, bits);
    }
  }

  void reported(long firstPage, long count) {
    unknown.addRange(firstPage, count);
    for (PageSet pages : armed) {
      pages.removeRange(firstPage, count);
    }
    forget(firstPage, count, -1L);
  }

  /** Pages of a range are no difference: of each 64 those whose bits are set. */
  private void forget(long firstPage, long count, long bits) {
    for (Iterator<Long> pages = differences.keySet().iterator(); pages.hasNext(); ) {
      long page = pages.next();
      if (page >= firstPage && page - firstPage < count && (bits >>> page & 1) != 0) {
        pages.remove();
      }
    }
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

  /** Knows pages that {@link #arm} has returned, after the barrier. */
  abstract void learn(PageSet pages);

  /** From here on a page is known. */
  final void isKnown(long page) {
    unknown.remove((int) (page >>> 6), 1L << page);
  }

  /** Looks for known pages that were written. */
  abstract void look(String between, long look);

  /** The pages of one word that are known, and were not told since. */
  final long knownOf(int word) {
    long known = ~(unknown.word(word) | slot.fetched().told().word(word));
    return ((long) word + 1) << 6 > slot.pageCount() ? known & (-1L >>> -slot.pageCount()) : known;
  }

  /** It is not needed any more. */
  void close() {}

  /**
   * Those that are being written count as seen by the look that comes, before its fetch, or by the
   * one that was just made.
   */
  void excuseWritten(long look) {
    PageContent of = content;
    if (of == null) {
      return;
    }
    for (Difference difference : differences.values()) {
      difference.beingWritten = of.isBeingWritten(tracked, difference.page);
      if (difference.beingWritten) {
        difference.look = look;
        difference.barrierPassed = false;
        difference.seenNanos = System.nanoTime();
      }
    }
  }

  /** {@return the error of the first time that it could not be looked at, else null} */
  @Nullable Throwable cannotLook(Throwable error) {
    reported(0, slot.pageCount());
    boolean first = !failed;
    failed = true;
    return first ? error : null;
  }
}
