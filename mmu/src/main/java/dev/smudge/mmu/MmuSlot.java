package dev.smudge.mmu;

import dev.smudge.bitmap.PageSet;
import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.core.GuestSlot;
import dev.smudge.linux.AnonymousMemory;
import dev.smudge.linux.Libc;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import java.lang.foreign.MemorySegment;
import java.util.Collections;
import java.util.Map;
import java.util.WeakHashMap;

/**
 * The pages of one slot. Under the collector lock. A page counts as set in one of three ways:
 *
 * <pre>
 *   the kernel has noted a write               {@link #loose} has it, if a fetch has seen it
 *   it is protected, and in {@link #kept}      it was written before that, and was not cleared since
 *   all are, if {@link #unsure}                a call was cut short
 * </pre>
 *
 * <p><b>Fetch and clear.</b> A fetch looks, and changes nothing; a clear protects. It covers whole
 * words of 64 pages, and so protects pages that it was not asked for: those it keeps. Where all
 * that a fetch finds is cleared right after it, the fetch protects at once, and keeps what it
 * finds: that is one walk through the page tables where there are two otherwise, and the clear only
 * forgets. If the clear does not come, the pages are kept, and their next write is found as usual.
 * Where the clear comes late, protecting late is better, since a page that is written in between
 * needs neither a second fault nor a second transfer.
 *
 * <p><b>Nothing is lost.</b> The kernel forgets that a page was written in one place only: where a
 * scan protects it. An error in the middle of such a scan leaves unknown which pages are protected:
 * then all count as set. So do they at each fetch where the kernel refuses to look, because the
 * embedder has unmapped the memory, say: the other slots are not concerned, and this one can be
 * removed.
 *
 * <p><b>Slots that replace others over the same memory</b> share with them what the kernel knows. A
 * page that is written between the last fetch of the old slot and the moment at which the change
 * arms the pages of the new one is in no view yet. So an old slot protects its pages as it goes,
 * and keeps what it finds; and the clear by which the change arms those of the new one keeps all
 * that it finds, also what it was asked for. Afterwards the old slot only looks, until it is
 * closed. If another slot protects written pages of the same memory, it tells the old slot.
 *
 * <p><b>Slots of two logs</b> are never over the same memory: the kernel lets one userfaultfd
 * register it. But they may have the same addresses, if the memory of one was unmapped beneath it
 * and the other's came there. The kernel does not tell a scan whose memory it is, and a scan of the
 * first slot would protect the other's written pages. So a slot that registers addresses tells the
 * slots of other trackers that had them. Those scan no more, and all of their pages count as set.
 *
 * <p>Memory that nobody has touched is not protected, and is found when somebody has. A page that
 * the kernel is moving elsewhere while a scan protects it is found once more.
 */
final class MmuSlot implements SlotTracker {
  /**
   * The most words between two words to clear that one call still covers: a call costs as much as
   * protecting so many words.
   */
  private static final int MAX_GAP = 16;

  /** The registered slots of all trackers, those of logs that nobody has closed included. */
  private static final Map<MmuSlot, Boolean> REGISTERED =
      Collections.synchronizedMap(new WeakHashMap<>());

  private final MmuTracker tracker;
  private final TrackedSlot slot;
  private final MemorySegment ram;
  private final long from;
  private final long end;
  private final int shift;
  private final PageSet kept; // written, then protected, and not cleared since
  private PageSet loose; // handed out or never armed, not protected since: these need a clear
  private boolean unsure; // a scan was cut short: all pages count as set
  private boolean clearFollows; // the next fetch
  private boolean registered;
  private boolean takesOver; // replaces another, and was not fetched yet
  private boolean warned;
  private final Object scanning = new Object(); // held by a scan
  private boolean displaced; // under 'scanning'

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
          "slot " + slot.id() + " is in the Java heap, whose objects the garbage collector moves");
    }
    this.ram = guest.ram();
    this.from = ram.address();
    this.end = from + ram.byteSize();
    if (from % hostPage != 0) {
      throw new IllegalArgumentException(
          "the RAM of slot "
              + slot.id()
              + " begins at 0x"
              + Long.toHexString(from)
              + ", which is not a multiple of "
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
    this.loose = new PageSet(slot.pageCount());
  }

  @Override
  public void start() {
    loose.addAll();
    if (tracker.isOracle()) {
      // A huge page that comes with one write counts as written as a whole.
      boolean ignored = AnonymousMemory.advise(ram, AnonymousMemory.NO_HUGE_PAGES);
    }
    if (!registered) {
      register();
      registered = true;
    }
  }

  private void register() {
    REGISTERED.put(this, true); // first: whoever has the addresses next is to find it
    displaced(false);
    boolean done = false;
    try {
      takesOver = tracker.userfaultfd().register(from, end);
      done = true;
    } finally {
      if (!done) {
        REGISTERED.remove(this);
      }
    }
    synchronized (REGISTERED) {
      for (MmuSlot other : REGISTERED.keySet()) {
        if (other.tracker != tracker && other.from < end && from < other.end) {
          other.displaced(true);
        }
      }
    }
  }

  /**
   * Notes whether these addresses are another tracker's memory by now. Waits for a scan that is
   * under way.
   */
  private void displaced(boolean is) {
    synchronized (scanning) {
      displaced = is;
    }
  }

  @Override
  public void stop() {
    unregister();
    kept.clear();
  }

  @Override
  public void add() {
    tracker.leaving().remove(this); // the change that was to remove it has failed
  }

  @Override
  public void close() {
    tracker.leaving().remove(this);
    unregister();
  }

  @Override
  public void remove() {
    tracker.leaving().add(this);
    if (registered && !tracker.isClosed()) {
      protectAll();
    }
  }

  private void unregister() {
    if (registered && !tracker.isClosed()) {
      synchronized (scanning) {
        tracker.userfaultfd().unregister(from, end, displaced);
      }
    }
    registered = false;
    REGISTERED.remove(this);
  }

  private void scan(long begin, long to, boolean protects, PagemapScan.Found found) {
    synchronized (scanning) {
      if (displaced) {
        throw MmuException.displaced(
            "PAGEMAP_SCAN", " of 0x" + Long.toHexString(begin) + " to 0x" + Long.toHexString(to));
      }
      tracker.scan().scan(begin, to, protects, found);
    }
  }

  @Override
  public void expectClear() {
    clearFollows = true;
  }

  @Override
  public void collect(PageWordConsumer sink) {
    boolean protects = clearFollows;
    clearFollows = false;
    if (!registered || tracker.isClosed()) {
      return;
    }
    if (unsure || !(protects ? protectAll() : look())) {
      unsure = true; // until all were handed out
      loose.addAll();
      loose.forEachWord(sink);
      kept.clear();
      unsure = false;
    } else {
      all().forEachWord(sink);
    }
    takesOver = false;
  }

  /** What counts as set. */
  private PageSet all() {
    if (kept.isEmpty() || loose.isEmpty()) {
      return kept.isEmpty() ? loose : kept;
    }
    PageSet all = new PageSet(slot.pageCount());
    all.addAll(loose);
    all.addAll(kept);
    return all;
  }

  /** Looks, and protects nothing. */
  private boolean look() {
    PageSet found = new PageSet(slot.pageCount());
    try {
      scan(from, end, false, (begin, to) -> addRange(found, begin, to));
    } catch (MmuException e) {
      warn(e);
      return false;
    }
    loose = found;
    return true;
  }

  /** Protects all pages, and keeps those that were written. */
  private boolean protectAll() {
    boolean before = unsure;
    unsure = true; // until it is whole
    try {
      scan(from, end, true, this::keep);
    } catch (MmuException e) {
      warn(e);
      return false;
    }
    loose.clear();
    unsure = before;
    return true;
  }

  /** Tells the log's error handler, once. */
  private void warn(MmuException e) {
    if (tracker.isOracle()) {
      throw e; // that all count as written would be wrong
    }
    if (!warned) {
      warned = true;
      tracker.report(
          new IllegalStateException(
              "all pages of slot " + slot.id() + " count as written from now on: " + e.getMessage(),
              e));
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
    for (int begin = next(bitmap, firstWord, 0, words); begin < words; ) {
      int last = begin;
      int next = next(bitmap, firstWord, last + 1, words);
      while (next < words && next - last <= MAX_GAP) {
        last = next;
        next = next(bitmap, firstWord, last + 1, words);
      }
      protect(firstWord + begin, firstWord + last + 1);
      begin = next;
    }
    for (int word = 0; word < words && !takesOver && !kept.isEmpty(); word++) {
      kept.remove(firstWord + word, bitmap[word]);
    }
  }

  /** The next word of which pages have to be protected. */
  private int next(long[] bitmap, int firstWord, int word, int words) {
    int at = loose.isEmpty() ? words : word;
    while (at < words && (bitmap[at] & loose.word(firstWord + at)) == 0) {
      at++;
    }
    return at;
  }

  private void protect(int word, int wordEnd) {
    long first = (long) word << 6;
    long count = Math.min(slot.pageCount(), (long) wordEnd << 6) - first;
    long rangeFrom = from + (first << shift);
    long rangeEnd = rangeFrom + (count << shift);
    scan(rangeFrom, rangeEnd, true, this::keep);
    loose.removeRange(first, count);
  }

  /** Pages were written, and are protected now. */
  private void keep(long begin, long to) {
    addRange(kept, begin, to);
    if (!tracker.leaving().isEmpty()) {
      for (MmuSlot other : tracker.leaving()) { // no lambda over a long (docs/design.md 3.8)
        other.keepWhatIsMine(begin, to);
      }
    }
  }

  /** Another slot has protected pages that were written: the kernel does not tell this one. */
  private void keepWhatIsMine(long begin, long to) {
    if (begin < end && to > from) {
      addRange(kept, Math.max(begin, from), Math.min(to, end));
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
