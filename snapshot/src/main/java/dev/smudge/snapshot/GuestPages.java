package dev.smudge.snapshot;

import dev.smudge.snapshot.owner.ClientOwner;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.RunConsumer;
import dev.smudge.sync.pages.PagePort;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import jdk.jfr.Event;
import org.jspecify.annotations.Nullable;

/**
 * A guest's pages for one that saves or restores them. It holds this at every moment, whatever is
 * thrown: <b>a page's RAM is what the page's table says, or the page is pending, or it is dirty for
 * the client.</b>
 *
 * <pre>
 *   dirty for the client ── absorb ──▶ pending ── read into the table, or written from it ──▶ equal
 * </pre>
 *
 * <p>A page is added where it comes to before it is taken from where it was. What is written is
 * marked for the other clients before the write, so that the memory for the mark is there, and
 * after it, which is the mark that counts. Where that one fails, {@link #unmarked} says so, and the
 * next call makes it.
 *
 * @param <S> what the client calls a slot
 */
final class GuestPages<S> {
  private static final VarHandle BUSY = busyHandle();

  /** Where the tables of slots come from. */
  interface Tables {
    /** {@return the table of a slot of that number} */
    PageTable of(int slotId, long pageCount, int pageBytes);
  }

  final List<Part<S>> parts = new ArrayList<>();
  private final Map<S, Part<S>> bySlot = new HashMap<>();
  private final DirtyClient<S> client;
  private final PagePort<S> ram;
  private final Tables tables;
  private final RunConsumer<S, RuntimeException> adder = this::add; // one object for all walks

  /** A call is under way. The caller ends it by this store, which needs no room on the stack. */
  volatile boolean busy;

  private long untouchedEnd; // from where the walk is up to there, nothing was touched
  private boolean unmarked; // a page that is pending was written, and perhaps not marked after that

  /** A stack has ended in a call, in a set of pages perhaps: no set is trusted after that. */
  boolean stackEnded;

  /**
   * Makes it, without pages.
   *
   * @param tables gives the table of a slot that is new to it
   */
  GuestPages(DirtyClient<S> client, PagePort<S> ram, Tables tables) {
    this.client = Objects.requireNonNull(client, "client");
    this.ram = Objects.requireNonNull(ram, "ram");
    this.tables = tables;
    initializeEvents();
  }

  /**
   * Claims the client, or refuses it if another has it. The last step of a factory: if an earlier
   * step fails, the client stays free.
   *
   * @param image the image that the client may have taken; null: it may have taken none
   */
  void claimClient(@Nullable BaseImage image) {
    new ClientOwner(
            " is the client of a SnapshotStore, a Rewind or a Reset already, and each would lack"
                + " the pages that the other takes: make one for each")
        .claim(client, image == null ? null : image.taken);
  }

  /**
   * Initializes the classes of the events where there is stack enough: a class whose initializer is
   * cut short is of no use later.
   */
  private static void initializeEvents() {
    Event[] all = {
      new ResetEvent(),
      new RestoreEvent(),
      new SaveEvent(),
      new StoreCaptureEvent(),
      new StoreCompactionEvent(),
      new StoreRestoreEvent(),
      new StoreSaveEvent()
    };
    Objects.requireNonNull(all);
  }

  private static VarHandle busyHandle() {
    try {
      return MethodHandles.lookup().findVarHandle(GuestPages.class, "busy", boolean.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  /** One call begins, or is refused; {@link #busy} ends it. */
  void enter() {
    if (!BUSY.compareAndSet(this, false, true)) {
      throw new IllegalStateException(
          "another call is under way, of another thread or of a callback of this one");
    }
  }

  /** Every page is pending, whatever is in the sets, if a stack has ended in one. */
  void settle() {
    if (stackEnded) {
      for (int i = 0; i < parts.size(); i++) {
        Part<S> part = parts.get(i);
        part.pending.addAll();
        if (part.slot == null) {
          part.pending.clear(); // the machine tells its state anew with each call
        }
      }
      stackEnded = false; // last: else once more
    }
  }

  /** What is dirty for the client becomes pending. */
  void absorb() {
    try {
      settle();
      checkSlots();
      if (unmarked) {
        markPending();
        unmarked = false;
      }
      try (DirtyBatch<S> batch = client.take()) {
        batch.forEachRun(adder);
        batch.commit();
      }
    } catch (StackOverflowError e) {
      stackEnded = true; // calls nothing
      throw e;
    }
  }

  /** No page is pending: the tables have what RAM has. */
  void clearPending() {
    try {
      for (int i = 0; i < parts.size(); i++) {
        parts.get(i).pending.clear();
      }
    } catch (StackOverflowError e) {
      stackEnded = true;
      throw e;
    }
  }

  private void add(S slot, long firstPage, long pageCount) {
    Part<S> part = bySlot.get(slot);
    if (part == null) {
      part = newPart(slot);
    }
    part.pending.addRange(firstPage, pageCount);
  }

  private Part<S> newPart(S slot) {
    int bytes = checkedPageBytes(ram, slot);
    long count = ram.pageCount(slot);
    PageTable table = tables.of(ram.slotId(slot), count, bytes);
    Part<S> part = new Part<>(slot, parts.size(), count, ram.pageSize(slot), bytes, table);
    parts.add(part);
    bySlot.put(slot, part); // if this fails, a part without pages is left, and does nothing
    return part;
  }

  static <S> int checkedPageBytes(PagePort<S> ram, S slot) {
    int bytes = ram.pageBytes(slot);
    if (bytes < 8 || bytes % 8 != 0) {
      throw new IllegalArgumentException(
          "the page port says that a page of "
              + slot
              + " has "
              + bytes
              + " bytes: it has to be a multiple of 8");
    }
    if (slot instanceof LogSlot of
        && (ram.pageSize(slot) != of.pageSize() || ram.pageCount(slot) != of.pageCount())) {
      throw new IllegalArgumentException(
          "the page port says that "
              + slot
              + " has "
              + ram.pageCount(slot)
              + " pages of "
              + ram.pageSize(slot)
              + " units, so that other pages would be marked than are written");
    }
    return bytes;
  }

  /** A range of no bytes marks nothing, and tells whether the slot is there. */
  private void checkSlots() {
    for (int i = 0; i < parts.size(); i++) {
      S slot = parts.get(i).slot;
      if (slot != null) {
        try {
          client.markForOthers(slot, 0, 0);
        } catch (IllegalArgumentException e) {
          throw new IllegalStateException(
              "the slots are not those of the first state any more; close this, and begin anew with"
                  + " another client",
              e);
        }
      }
    }
  }

  private void markPending() {
    for (Part<S> part : parts) {
      S slot = part.slot;
      if (slot != null) {
        part.pending.forEachRun((first, count) ->
            client.markForOthers(slot, first * part.pageSize, count * part.pageSize));
      }
    }
  }

  /** Reads a page of RAM into the part's spare array. The last one may not be RAM to its end. */
  byte[] read(Part<S> part, S slot, long page) {
    byte[] into = part.spare();
    if (page == part.pending.pageCount() - 1) {
      Arrays.fill(into, (byte) 0);
    }
    ram.read(slot, page, into);
    return into;
  }

  /** {@return how many pages of RAM are pending} */
  long pendingPages() {
    long sum = 0;
    for (int i = 0; i < parts.size(); i++) {
      sum += parts.get(i).slot == null ? 0 : parts.get(i).pending.size();
    }
    return sum;
  }

  /**
   * Writes what is pending, as the tables have it.
   *
   * @return how many pages these were, without those that were zero and are
   */
  long write() {
    try {
      return writePending();
    } catch (StackOverflowError e) {
      stackEnded = true;
      throw e;
    }
  }

  private long writePending() {
    long written = 0;
    for (int i = 0; i < parts.size(); i++) {
      Part<S> part = parts.get(i);
      S slot = part.slot;
      if (slot != null) {
        beginWalk();
        long end = part.pending.pageCount();
        for (long page = part.pending.nextPage(0); page >= 0; page = part.pending.nextPage(page)) {
          long run = part.pending.endOfRun(page, end);
          boolean first = true;
          while (page < run) {
            long from = skipZeroes(part, slot, page, run, first);
            part.pending.removeRange(page, from - page);
            page = from;
            if (from < run) {
              page = part.table.endOfRun(from, run);
              writeRun(part, slot, from, page);
              written += page - from;
              part.pending.removeRange(from, page - from);
            }
            first = false;
          }
        }
      }
    }
    return written;
  }

  /** A walk over the pages of a part begins, in ascending order. */
  void beginWalk() {
    untouchedEnd = 0;
  }

  /**
   * Passes over pages that are zero, in RAM and in the table. Within a walk.
   *
   * @param first whether the page is the first of a run, so that it may well be one that was never
   *     touched: to ask for that costs as much as to read some pages
   * @return the first page from one on, up to another, that is not such a page
   */
  long skipZeroes(Part<S> part, S slot, long page, long past, boolean first) {
    boolean ask = first && past - page > 1;
    long at = page;
    while (at < past) {
      long next = part.table.next(at, past);
      if (next == at) {
        return at;
      }
      while (at < next) {
        if (ask && at >= untouchedEnd) { // the answer may have taken a look at all that follows
          untouchedEnd = ram.nextTouchedPage(slot, at);
        }
        at = Math.min(next, Math.max(at, untouchedEnd));
        if (at < next && !Arrays.equals(read(part, slot, at), part.zero)) {
          return at;
        }
        at = Math.min(next, at + 1);
        ask = true; // what follows zeroes is often more of them
      }
    }
    return past;
  }

  private void writeRun(Part<S> part, S slot, long first, long past) {
    long offset = first * part.pageSize;
    long length = (past - first) * part.pageSize;
    client.markForOthers(slot, offset, length);
    unmarked = true;
    try {
      for (long page = first; page < past; page++) {
        byte[] content = part.table.get(page);
        if (content == null) {
          writeZeroes(part, slot, page);
        } else {
          ram.write(slot, page, content);
        }
      }
    } finally {
      client.markForOthers(slot, offset, length);
    }
    unmarked = false;
  }

  /** Not where there are zeroes already: to write them might commit memory. */
  private void writeZeroes(Part<S> part, S slot, long page) {
    if (!Arrays.equals(read(part, slot, page), part.zero)) {
      ram.write(slot, page, part.zero);
    }
  }

  void close() {
    enter();
    closeEntered();
  }

  /** The rest of {@link #close}, and the end of the call. */
  void closeEntered() {
    try {
      settle();
      if (unmarked) {
        markPending();
        unmarked = false;
      }
    } catch (IllegalStateException | IllegalArgumentException e) {
      // The log is closed, or the slot is gone: there is nobody to tell.
    } finally {
      busy = false;
    }
    client.close();
  }
}
