package dev.smudge.mmu;

import dev.smudge.bitmap.PageSet;
import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.core.GuestSlot;
import dev.smudge.linux.Libc;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;

/**
 * The pages of one slot. A page counts as set when the kernel says that it was written since it was
 * protected; a fetch only looks, and a clear protects. Under the collector lock.
 *
 * <p><b>Nothing is lost.</b> The kernel forgets that a page was written in one place only: where a
 * clear protects it. A clear covers whole words of 64 pages, and so protects pages that it was not
 * asked for; those it keeps in {@link #kept}, and the next fetch hands them out. An error in the
 * middle of a clear leaves unknown which pages are protected: then all count as set. So do they at
 * each fetch where the kernel refuses to look, because the embedder has unmapped the memory, say:
 * the other slots are not concerned, and this one can be removed.
 *
 * <p><b>Slots that replace others over the same memory</b> share with them what the kernel knows. A
 * page that is written between the last fetch of the old slot and the moment at which the change
 * arms the pages of the new one is in no view yet. So an old slot protects its pages as it goes,
 * and keeps what its last fetch has not found; and the clear by which the change arms those of the
 * new one keeps all that it finds, also what it was asked for. Afterwards the old slot only looks.
 *
 * <p>Memory that nobody has touched is not protected, and is found when somebody has.
 */
final class MmuSlot implements SlotTracker {
  private static final System.Logger LOGGER = System.getLogger(MmuTracker.class.getName());

  /** Words from one to the next that is to be cleared: a call costs as much as so many of them. */
  private static final int MAX_GAP = 16;

  private final MmuTracker tracker;
  private final TrackedSlot slot;
  private final long from;
  private final long end;
  private final int shift;
  private final PageSet kept; // written, protected, and not handed out
  private PageSet last; // what was handed out last
  private boolean unsure; // a clear was cut short: all pages count as set
  private boolean registered;
  private boolean takesOver; // replaces another, and was not fetched yet
  private boolean warned;

  /** Refuses what cannot be tracked. */
  MmuSlot(MmuTracker tracker, TrackedSlot slot) {
    this.tracker = tracker;
    this.slot = slot;
    if (!(slot.attachment() instanceof GuestSlot guest)) {
      throw new IllegalArgumentException(
          "slot " + slot.id() + " has no RAM: the MMU tracks slots of a GuestMemory");
    }
    long hostPage = Libc.pageSize();
    if (slot.pageSize() < hostPage) {
      throw new IllegalArgumentException(
          "pages of "
              + slot.pageSize()
              + " bytes: the MMU finds writes to pages of "
              + hostPage
              + "; use pages of that size or a multiple, or software marks");
    }
    if (!guest.ram().isNative()) {
      throw new IllegalArgumentException(
          "slot " + slot.id() + " is in the Java heap, whose pages the collector of garbage moves");
    }
    this.from = guest.ram().address();
    this.end = from + guest.ram().byteSize();
    if (from % hostPage != 0) {
      throw new IllegalArgumentException(
          "the RAM of slot "
              + slot.id()
              + " begins at 0x"
              + Long.toHexString(from)
              + ", which is no multiple of "
              + hostPage);
    }
    String reason = ProcessMaps.reasonAgainst(from, end);
    if (reason != null) {
      throw new IllegalArgumentException(
          "the MMU cannot track the RAM of slot "
              + slot.id()
              + ": "
              + reason
              + "; it has to be private anonymous memory, such as RAM that a GuestMemory makes");
    }
    this.shift = Long.numberOfTrailingZeros(slot.pageSize());
    this.kept = new PageSet(slot.pageCount());
    this.last = new PageSet(slot.pageCount());
  }

  @Override
  public void start() {
    if (!registered) {
      takesOver = tracker.userfaultfd().register(from, end);
      registered = true;
    }
  }

  @Override
  public void stop() {
    unregister();
    kept.clear();
  }

  @Override
  public void close() {
    unregister();
  }

  @Override
  public void remove() {
    if (!registered || tracker.isClosed()) {
      return;
    }
    boolean before = unsure;
    unsure = true; // until it is whole
    try {
      tracker.scan().scan(from, end, true, (found, to) -> addRange(kept, found, to));
      kept.removeAll(last);
      unsure = before;
    } catch (MmuException e) {
      warn(e);
    }
  }

  private void unregister() {
    if (registered && !tracker.isClosed()) {
      tracker.userfaultfd().unregister(from, end);
    }
    registered = false;
  }

  @Override
  public void collect(PageWordConsumer sink) {
    if (!registered || tracker.isClosed()) {
      return;
    }
    PageSet found = new PageSet(slot.pageCount());
    if (unsure || !look(found)) {
      found.addAll();
    } else {
      found.addAll(kept);
    }
    found.forEachWord(sink);
    last = found;
    kept.clear(); // only now: all were handed out
    unsure = false;
    takesOver = false;
  }

  private boolean look(PageSet found) {
    try {
      tracker.scan().scan(from, end, false, (begin, to) -> addRange(found, begin, to));
      return true;
    } catch (MmuException e) {
      warn(e);
      return false;
    }
  }

  private void warn(MmuException e) {
    if (!warned) {
      warned = true;
      LOGGER.log(
          System.Logger.Level.WARNING,
          "all pages of slot " + slot.id() + " count as written from now on: " + e.getMessage(),
          e);
    }
  }

  @Override
  public void clear(long firstPage, long pageCount, long[] bitmap) {
    slot.checkClearRange(firstPage, pageCount, bitmap);
    if (!registered || tracker.isClosed()) {
      return;
    }
    int firstWord = (int) (firstPage >>> 6);
    int words = (int) ((pageCount + 63) >>> 6);
    boolean before = unsure;
    unsure = true; // until it is whole
    try {
      protect(bitmap, firstWord, words);
      unsure = before;
    } catch (MmuException e) {
      warn(e);
    }
  }

  private void protect(long[] bitmap, int firstWord, int words) {
    for (int begin = next(bitmap, 0, words); begin < words; ) {
      int last = begin;
      int next = next(bitmap, last + 1, words);
      while (next < words && next - last <= MAX_GAP) {
        last = next;
        next = next(bitmap, last + 1, words);
      }
      protect(firstWord, begin, last + 1, bitmap);
      begin = next;
    }
  }

  private static int next(long[] bitmap, int word, int words) {
    int at = word;
    while (at < words && bitmap[at] == 0) {
      at++;
    }
    return at;
  }

  private void protect(int firstWord, int begin, int wordEnd, long[] bitmap) {
    long rangeFrom = from + ((long) (firstWord + begin) << (6 + shift));
    long rangeEnd = Math.min(end, from + ((long) (firstWord + wordEnd) << (6 + shift)));
    tracker.scan().scan(rangeFrom, rangeEnd, true, (found, to) -> addRange(kept, found, to));
    for (int word = begin; word < wordEnd && !takesOver; word++) {
      kept.remove(firstWord + word, bitmap[word]);
    }
  }

  private void addRange(PageSet pages, long begin, long to) {
    long first = page(begin);
    pages.addRange(first, page(to - 1) - first + 1);
  }

  private long page(long address) {
    return (address - from) >>> shift;
  }
}
