package dev.smudge.snapshot;

import java.util.Arrays;
import java.util.List;

/**
 * The states of a {@link Rewind}: the oldest by its number alone, each later one as a delta against
 * the one before. Content is in the page tables, which hold one state, the current one; a delta
 * leads from either side to the other.
 *
 * <p><b>Thinning.</b> A full ring hands its two oldest deltas on, as one, to the next ring, which
 * is coarser and smaller; the state between the two is gone. The last ring drops its oldest.
 *
 * <pre>
 *   oldest ◀─────────────────────────────────────────────────────────────── newest
 *   [ each 8th state: 1/8 ] [ each 4th: 1/8 ] [ each 2nd: 1/4 ] [ each state: 1/2 of the budget ]
 * </pre>
 *
 * <p><b>Errors.</b> Whatever changes a table is prepared, then done by stores that call nothing.
 * What is left to do is in fields: the open delta, whose pages {@link #settle} takes back, and the
 * move, which it ends. So a state is there or it is not, and the tables hold one that is.
 *
 * @param <S> what the client calls a slot
 */
final class History<S> {
  private static final int LEVELS = 4;
  private static final long NONE = -1;

  private final List<Part<S>> parts;
  private final DeltaRing[] levels = new DeltaRing[LEVELS]; // the finest first
  private byte[] scratch = {};
  private byte[] zero = {};

  /** The oldest state; -1: there is none. */
  private long oldest = NONE;

  // The current state: that which this delta leads to; or the newest, or the oldest.
  private static final int NEWEST = -1;
  private static final int OLDEST = LEVELS;
  private int level = NEWEST;
  private long delta;

  private boolean opened; // the finest ring has an open delta

  // A move over a delta: records from a position on are to be applied, and then the state is that.
  private boolean moving;
  private DeltaRing over;
  private long next;
  private int left;
  private int levelThen;
  private long deltaThen;

  History(List<Part<S>> parts, long budget) {
    this.parts = parts;
    int unit = (int) (budget / 8);
    int[] shares = {4 * unit, 2 * unit, unit, unit};
    for (int i = 0; i < LEVELS; i++) {
      levels[i] = new DeltaRing(shares[i]);
    }
    this.over = levels[0];
  }

  boolean isEmpty() {
    return oldest == NONE;
  }

  long oldest() {
    return oldest;
  }

  long newest() {
    int young = younger(OLDEST, 0);
    return young == NEWEST ? oldest : levels[young].state(levels[young].newest);
  }

  long current() {
    return level == NEWEST ? newest() : level == OLDEST ? oldest : levels[level].state(delta);
  }

  long states() {
    long sum = isEmpty() ? 0 : 1;
    for (DeltaRing ring : levels) {
      sum += ring.count;
    }
    return sum;
  }

  long bytes() {
    long sum = 0;
    for (DeltaRing ring : levels) {
      sum += ring.count == 0 ? 0 : ring.tail - ring.head;
    }
    return sum;
  }

  void clear() {
    oldest = NONE;
    level = NEWEST;
    opened = false;
    moving = false;
    for (DeltaRing ring : levels) {
      ring.count = 0;
    }
  }

  /** The first level with deltas that is finer than one, or from a finer one on; -1 if none. */
  private int younger(int than, int from) {
    for (int i = from; i < than; i++) {
      if (levels[i].count > 0) {
        return i;
      }
    }
    return NEWEST;
  }

  // Moves

  /** Makes the state before the current one the current one; returns whether there is one. */
  boolean back() {
    int from = level;
    long by = delta;
    if (from == NEWEST) {
      from = younger(OLDEST, 0);
      by = from == NEWEST ? 0 : levels[from].newest;
    }
    if (from == NEWEST || from == OLDEST) {
      return false;
    }
    DeltaRing ring = levels[from];
    if (by != ring.head) {
      move(ring, by, from, ring.before(by));
    } else {
      int older = younger(OLDEST, from + 1);
      move(ring, by, older == NEWEST ? OLDEST : older, older == NEWEST ? 0 : levels[older].newest);
    }
    return true;
  }

  /** Makes the state after the current one the current one; returns whether there is one. */
  boolean forward() {
    if (level == NEWEST) {
      return false;
    }
    if (level != OLDEST && delta != levels[level].newest) {
      long after = levels[level].after(delta);
      move(levels[level], after, level, after);
      return true;
    }
    for (int i = level - 1; i >= 0; i--) {
      if (levels[i].count > 0) {
        move(levels[i], levels[i].head, i, levels[i].head);
        return true;
      }
    }
    return false;
  }

  private void move(DeltaRing ring, long by, int toLevel, long toDelta) {
    int records = ring.records(by);
    over = ring;
    next = by + DeltaRing.HEADER;
    left = records;
    levelThen = toLevel;
    deltaThen = toDelta;
    moving = true;
    settle();
  }

  /** Ends what a call that was cut short has begun. */
  void settle() {
    if (opened && !moving) {
      over = levels[0];
      next = over.openBegin + DeltaRing.HEADER;
      left = over.openRecords;
      levelThen = NEWEST;
      moving = true;
    }
    if (moving) {
      while (left > 0) {
        applyNext();
      }
      level = levelThen;
      delta = deltaThen;
      opened = false;
      moving = false;
    }
  }

  private void applyNext() {
    long at = over.record(next);
    Part<S> part = parts.get(over.part(at));
    long page = over.page(at);
    int code = over.offset(at) + DeltaRing.RECORD;
    int length = over.codeBytes(at);
    long after = at + DeltaRing.RECORD + length;
    part.pending.addRange(page, 1);
    byte[][] block = part.table.block(page);
    byte[] fresh = part.spare();
    System.arraycopy(part.page(page), 0, fresh, 0, fresh.length);
    XorCode.apply(over.bytes, code, code + length, fresh);
    part.replace(block, PageTable.index(page));
    next = after; // and nothing is called from there to here
    left--;
  }

  // A new state

  /** The states after the current one go. */
  void dropFront() {
    if (level == NEWEST) {
      return;
    }
    for (int i = 0; i < level; i++) {
      levels[i].count = 0; // the newest first: at every moment the rest is whole
    }
    if (level < OLDEST) {
      DeltaRing ring = levels[level];
      int kept = 1;
      for (long each = ring.head; each != delta; each = ring.after(each)) {
        kept++;
      }
      long end = ring.end(delta);
      ring.tail = end;
      ring.newest = delta;
      ring.count = kept;
    }
    level = NEWEST;
  }

  /** There is this state alone; the tables hold it. */
  void begin(long state) {
    clear();
    oldest = state;
  }

  /** Opens the delta of a new state; returns false if it has no room. */
  boolean open() {
    DeltaRing ring = levels[0];
    while (!ring.open()) {
      if (!thin(0)) {
        return false;
      }
    }
    opened = true;
    return true;
  }

  /**
   * Records a page that is different in the new state, and puts the part's spare array, which has
   * the new content, into the table; returns false if there is no room, and does nothing then.
   */
  boolean record(Part<S> part, long page) {
    DeltaRing ring = levels[0];
    long at = room(0, part.pageBytes);
    if (at < 0) {
      return false;
    }
    byte[][] block = part.table.block(page);
    int code = ring.offset(at) + DeltaRing.RECORD;
    int length = XorCode.encode(part.page(page), part.spare(), ring.bytes, code) - code;
    ring.writeRecord(at, length, part.index, page);
    part.replace(block, PageTable.index(page));
    ring.openEnd = at + DeltaRing.RECORD + length; // and nothing is called from there to here
    ring.openRecords++;
    return true;
  }

  /** The open delta leads to a new state, which is the current one. */
  void add(long state) {
    DeltaRing ring = levels[0];
    ring.writeHeader(state);
    addOpen(ring);
    opened = false;
  }

  private static void addOpen(DeltaRing ring) {
    if (ring.count == 0) {
      ring.head = ring.openBegin;
    }
    ring.newest = ring.openBegin;
    ring.tail = ring.openEnd;
    ring.count++;
  }

  // Thinning

  private long room(int level, int pageBytes) {
    int worst = XorCode.worst(pageBytes);
    long at = levels[level].room(worst);
    while (at < 0 && thin(level)) {
      at = levels[level].room(worst);
    }
    return at;
  }

  /** Makes room in a ring; returns false if it is empty. */
  private boolean thin(int level) {
    DeltaRing ring = levels[level];
    if (ring.count == 0) {
      return false;
    }
    int count = Math.min(2, ring.count);
    long first = ring.head;
    long last = count == 1 ? first : ring.after(first);
    long state = ring.state(last);
    long head = count == ring.count ? 0 : ring.after(last);
    if (level + 1 < LEVELS && merge(level + 1, ring, first, last)) {
      DeltaRing into = levels[level + 1];
      into.writeHeader(state);
      addOpen(into); // it has the states of both now, and nothing is called until they are out here
      ring.head = head;
      ring.count -= count;
    } else {
      if (level + 1 == LEVELS && count == 2) { // the last one drops one at a time
        state = ring.state(first);
        head = last;
        count = 1;
      }
      oldest = state; // what is older cannot be reached without these: it is gone with them
      for (int i = level + 1; i < LEVELS; i++) {
        levels[i].count = 0;
      }
      ring.head = head;
      ring.count -= count;
    }
    return true;
  }

  /** Opens the delta over two adjacent ones, which may be the same, in a ring; false: no room. */
  private boolean merge(int level, DeltaRing from, long first, long last) {
    DeltaRing into = levels[level];
    while (!into.open()) {
      if (!thin(level)) {
        return false;
      }
    }
    long a = first + DeltaRing.HEADER;
    long b = last + DeltaRing.HEADER;
    int leftOfA = from.records(first);
    int leftOfB = first == last ? 0 : from.records(last);
    while (leftOfA > 0 || leftOfB > 0) {
      a = leftOfA > 0 ? from.record(a) : a;
      b = leftOfB > 0 ? from.record(b) : b;
      int order = leftOfA == 0 ? 1 : leftOfB == 0 ? -1 : order(from, a, b);
      long source = order > 0 ? b : a;
      Part<S> part = parts.get(from.part(source));
      long at = room(level, part.pageBytes);
      if (at < 0) {
        return false;
      }
      int code = into.offset(at) + DeltaRing.RECORD;
      int length;
      if (order == 0) {
        byte[] both = scratch(part.pageBytes);
        apply(from, a, both);
        apply(from, b, both);
        length = XorCode.encode(zero, both, into.bytes, code) - code;
      } else {
        length = from.codeBytes(source);
        System.arraycopy(
            from.bytes, from.offset(source) + DeltaRing.RECORD, into.bytes, code, length);
      }
      if (length > 0) {
        into.writeRecord(at, length, part.index, from.page(source));
        into.openEnd = at + DeltaRing.RECORD + length;
        into.openRecords++;
      }
      if (order <= 0) {
        a += DeltaRing.RECORD + from.codeBytes(a);
        leftOfA--;
      }
      if (order >= 0) {
        b += DeltaRing.RECORD + from.codeBytes(b);
        leftOfB--;
      }
    }
    return true;
  }

  /** Records of a delta are sorted by part, then by page. */
  private static int order(DeltaRing ring, long a, long b) {
    int byPart = Integer.compare(ring.part(a), ring.part(b));
    return byPart != 0 ? byPart : Long.compare(ring.page(a), ring.page(b));
  }

  private static void apply(DeltaRing ring, long record, byte[] page) {
    int code = ring.offset(record) + DeltaRing.RECORD;
    XorCode.apply(ring.bytes, code, code + ring.codeBytes(record), page);
  }

  /** {@return zeroes of that length, the same array as long as it fits} */
  private byte[] scratch(int length) {
    if (scratch.length != length) {
      scratch = new byte[length];
      zero = new byte[length];
    }
    Arrays.fill(scratch, (byte) 0);
    return scratch;
  }
}
