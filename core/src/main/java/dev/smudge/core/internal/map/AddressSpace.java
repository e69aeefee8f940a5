package dev.smudge.core.internal.map;

import dev.smudge.core.internal.ram.SparseRam;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.VcpuPause;
import dev.smudge.sync.embed.Doubt;
import dev.smudge.sync.embed.EmbeddedLog;
import dev.smudge.sync.embed.LostPages;
import dev.smudge.sync.embed.MapChange;
import dev.smudge.sync.embed.MapLock;
import dev.smudge.sync.error.SealedException;
import dev.smudge.sync.rcu.RcuReader;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * The guest's memory map of now, and what is needed to change it: the lock of changes, the open
 * transaction of each thread, the RAM of our own, and what removers still hold. From any thread.
 */
@SuppressWarnings("Finally") // what is thrown there has the same cause: the stack has ended
public final class AddressSpace {
  private static final long LOOK_MILLIS = 10;
  private static final long MOST_OF_A_LOOK_NANOS = 5 * LOOK_MILLIS * 1_000_000;

  /** A removed slot whose remover has not closed its handle: late writes are told there. */
  record Lost(MappedSlot slot, LostPages pages, List<long[]> runs) {
    /** A write to a range of the slot landed late: marks those of its pages that are lost. */
    void mark(long offset, long length) {
      long first = offset >>> slot.pageShift;
      long end = ((offset + length - 1) >>> slot.pageShift) + 1;
      for (long[] run : runs) {
        long from = Math.max(first, run[0]);
        long to = Math.min(end, run[0] + run[1]);
        if (from < to) {
          pages.add(from, to - from);
        }
      }
    }
  }

  private final DirtyLog log;
  private final EmbeddedLog embedded;
  private final MapLock lock;
  private final MapListeners listeners;
  private final Set<SparseRam> rams = ConcurrentHashMap.newKeySet();
  private final Set<Lost> lost = ConcurrentHashMap.newKeySet();

  @SuppressWarnings("ThreadLocalUsage") // one per address space
  private final ThreadLocal<@Nullable SlotOverlay> transactions = new ThreadLocal<>();

  private final DeviceGate gate;
  private final Set<PendingWrite> asyncWrites = ConcurrentHashMap.newKeySet(); // open

  private final Doubt doubt = new Doubt();
  private final AtomicReference<@Nullable Sealing> sealing = new AtomicReference<>(); // the last
  private volatile SlotMap map = SlotMap.EMPTY;
  private volatile boolean closed;
  private final AtomicReference<@Nullable SlotCommit> halfMade = new AtomicReference<>();

  /** Makes one without slots. */
  public AddressSpace(DirtyLog log) {
    this.log = log;
    this.embedded = EmbeddedLog.of(log);
    this.lock = embedded.newLock("a change of the memory map or of its listeners");
    this.listeners = new MapListeners(log.rcu());
    this.gate = new DeviceGate(log.rcu(), embedded);
    initializeCopies();
  }

  /**
   * Initializes classes of the JDK where there is stack enough: a class whose initializer is cut
   * short is of no use later.
   */
  private static void initializeCopies() {
    MemorySegment from = MemorySegment.ofArray(new byte[100]);
    MemorySegment to = MemorySegment.ofArray(new byte[100]);
    for (int length : new int[] {7, 31, 100}) { // what is done by stores, and by others
      from.asSlice(0, length).fill((byte) 1);
      MemorySegment.copy(from, 0, to, 0, length);
    }
  }

  /** {@return the dirty log} */
  public DirtyLog log() {
    return log;
  }

  /** {@return the dirty log, as its embedder sees it} */
  public EmbeddedLog embedded() {
    return embedded;
  }

  /** {@return who is told of changes} */
  public MapListeners listeners() {
    return listeners;
  }

  /** {@return where writes of devices wait during a pause} */
  public DeviceGate gate() {
    return gate;
  }

  /** {@return the map of now} */
  public SlotMap map() {
    return map;
  }

  /** {@return the map of now, for an access} */
  public SlotMap openMap() {
    checkOpen();
    return map;
  }

  /** Refuses when it is closed. */
  public void checkOpen() {
    if (closed) { // C1
      throw new IllegalStateException("the guest memory is closed");
    }
  }

  /** {@return whether accesses are refused} */
  public boolean isSealedOrClosed() {
    return closed || log.isSealed(); // C1
  }

  /** {@return set where a mark of what has landed is cut short} */
  public Doubt doubt() {
    return doubt;
  }

  /** {@return new RAM of Smudge's own, which is mapped with its first pin} */
  public SparseRam newRam() {
    return new SparseRam(rams);
  }

  // Changes.

  /** {@return the open transaction of this thread; null if there is none} */
  public @Nullable SlotOverlay transaction() {
    SlotOverlay overlay = transactions.get();
    return overlay == null || overlay.innermost == null ? null : overlay;
  }

  /** {@return the open transaction of this thread, begun if there is none} */
  public SlotOverlay beginTransaction() {
    SlotOverlay overlay = transaction();
    if (overlay == null) {
      overlay = new SlotOverlay();
      transactions.set(overlay);
    }
    return overlay;
  }

  /** The outermost transaction of this thread is over. */
  public void endTransaction() {
    transactions.remove();
  }

  /** Does something while the map does not change. A vCPU waits offline. */
  public void locked(Runnable what) {
    lock.lock();
    try {
      what.run();
    } finally {
      lock.unlock();
    }
  }

  MapChange beginChange(boolean removes) {
    return embedded.beginChange(lock, removes);
  }

  /** A commit begins, under the lock: if an error has cut the last one short, its rest is done. */
  void giveUpHalfMade(SlotCommit next) {
    SlotCommit last = halfMade.get();
    if (last != null) {
      last.giveUp();
    }
    rams.forEach(SparseRam::settle);
    halfMade.set(next);
  }

  /** A commit has nothing left to do. */
  void isWhole(SlotCommit commit) {
    halfMade.compareAndSet(commit, null);
  }

  /** In the middle of a commit. */
  void publish(SlotMap after, List<Lost> removed) {
    lost.addAll(removed); // first: whoever finds a slot in no map finds it there
    // ORDER C2 volatile: the map before vCPUs are told of it (S3). Pairs with the reads of the map,
    // by VcpuCursors.pagesArmed among others. If weaker: a vCPU acknowledges the change, and keeps
    // a cursor in a slot whose RAM is unmapped a moment later.
    map = after;
  }

  void forget(Lost handle) {
    lost.remove(handle);
  }

  // Writes that land when the slot may have changed.

  /** Marks bytes that were written to a slot's memory, wherever that is in the guest by now. */
  public void markLanded(MappedSlot slot, long offset, long length) {
    RcuReader section = log.rcu().reader();
    log.rcu().enter();
    try {
      if (map.isCurrent(slot)) {
        embedded.markOnly(section, slot.log, offset, length);
      } else {
        long from = slot.plan().memoryOffset() + offset;
        markOver(section, slot.plan(), from, from + length);
        markRemoved(slot.plan(), from, from + length);
      }
    } finally {
      try {
        section.cross(RcuReader.LEAVE);
      } catch (StackOverflowError e) {
        section.left = true;
        throw e;
      }
    }
  }

  /**
   * Tells watches of what {@link #markLanded} has marked.
   *
   * @param before what was thrown for other parts of the write; null: nothing
   * @return what was thrown so far
   */
  public @Nullable Throwable tellLanded(
      MappedSlot slot, long offset, long length, @Nullable Throwable before) {
    long from = slot.plan().memoryOffset() + offset;
    return tellMemory(slot.plan(), from, from + length, before);
  }

  /** Tells the watches of the slots that are over a range of memory now. */
  @Nullable Throwable tellMemory(SlotPlan plan, long from, long end, @Nullable Throwable before) {
    @Nullable Throwable[] failed = {before};
    forEachOver(
        plan,
        from,
        end,
        (slot, offset, length) ->
            failed[0] = EmbeddedLog.tellWatches(slot, offset, length, failed[0]));
    return failed[0];
  }

  /** Marks the slots that are over a range of memory now. Their watches are told afterwards. */
  void markMemory(SlotPlan plan, long from, long end) {
    RcuReader section = log.rcu().reader();
    log.rcu().enter();
    try {
      markOver(section, plan, from, end);
    } finally {
      try {
        section.cross(RcuReader.LEAVE);
      } catch (StackOverflowError e) {
        section.left = true;
        throw e;
      }
    }
  }

  /** What is done with bytes of a slot. */
  private interface Range {
    void accept(LogSlot slot, long offset, long length);
  }

  private void markOver(RcuReader section, SlotPlan plan, long from, long end) {
    forEachOver(
        plan,
        from,
        end,
        (slot, offset, length) -> embedded.markOnly(section, slot, offset, length));
  }

  @SuppressWarnings("ReferenceEquality") // of one memory
  private void forEachOver(SlotPlan plan, long from, long end, Range range) {
    Object memory = plan.memory();
    for (MappedSlot slot : map.slots()) {
      long start = Math.max(from, slot.plan().memoryOffset());
      long stop = Math.min(end, slot.plan().memoryEnd());
      if (start < stop && slot.plan().memory() == memory) {
        range.accept(slot.log, start - slot.plan().memoryOffset(), stop - start);
      }
    }
  }

  /** Tells removers of a late write to a range of memory. */
  @SuppressWarnings("ReferenceEquality") // of one memory
  private void markRemoved(SlotPlan plan, long from, long end) {
    Object memory = plan.memory();
    for (Lost removed : lost) {
      SlotPlan old = removed.slot().plan();
      long start = Math.max(from, old.memoryOffset());
      long stop = Math.min(end, old.memoryEnd());
      if (start < stop && old.memory() == memory) {
        removed.mark(start - old.memoryOffset(), stop - start);
      }
    }
  }

  // Stopping who writes.

  /** Stops all vCPUs but the caller's, and all writes of devices but the caller's. */
  public VcpuPause pauseAll() {
    Thread self = Thread.currentThread();
    return embedded.pause(gate::shut, () -> gate.open(self));
  }

  /** An asynchronous write has begun; refused while the memory is being sealed, and sealed. */
  public void begun(PendingWrite write) {
    asyncWrites.add(write);
    // ORDER G2 volatile: the write is in the set before this look. Pairs with seal, which stores,
    // and then looks at the set. If weaker: it is neither refused nor waited for.
    if (isSealing() || log.isSealed()) {
      asyncWrites.remove(write);
      throw new SealedException(write + " came after seal()");
    }
  }

  /** It has landed. A second call does nothing. */
  public void ended(PendingWrite write) {
    if (asyncWrites.remove(write) && isSealing()) {
      synchronized (asyncWrites) {
        asyncWrites.notifyAll();
      }
    }
  }

  /** {@return whether an asynchronous write to bytes of a slot's memory is open} */
  public boolean isBeingWritten(MappedSlot slot, long offset, long length) {
    for (PendingWrite write : asyncWrites) {
      if (write.isTo(slot, offset, length)) {
        return true;
      }
    }
    return false;
  }

  /** Waits for the asynchronous writes that are open, then seals the log. */
  public void seal() {
    Sealing mine = beginSealing();
    try {
      awaitAsyncWrites();
      log.seal();
    } finally {
      // ORDER G3 volatile: after the log was sealed, if it was. Pairs with isSealing, after which
      // begun looks at the log. If weaker: a write finds neither, and is in no last take.
      mine.over = true;
    }
  }

  private Sealing beginSealing() {
    @Nullable Sealing last;
    Sealing mine;
    do {
      last = sealing.get();
      mine = new Sealing(last);
    } while (!sealing.compareAndSet(last, mine)); // G2; the last call: after it no stack is needed
    return mine;
  }

  private boolean isSealing() {
    for (Sealing each = sealing.get(); each != null; each = each.before) {
      if (!each.over) { // G3
        return true;
      }
    }
    return false;
  }

  /** A call of seal(). No count: a stack that has ended would keep it from being taken back. */
  private static final class Sealing {
    final @Nullable Sealing before;
    volatile boolean over;

    Sealing(@Nullable Sealing last) {
      Sealing rest = last;
      while (rest != null && rest.over) {
        rest = rest.before;
      }
      before = rest;
    }
  }

  private void awaitAsyncWrites() {
    boolean interrupted = false;
    try {
      synchronized (asyncWrites) {
        long left = embedded.timeout().toNanos();
        while (asyncWrites.iterator().hasNext()) { // an error may leave their count wrong
          checkOpen();
          long begin = System.nanoTime();
          if (left <= 0) {
            throw new IllegalStateException(
                "asynchronous writes have not landed within "
                    + embedded.timeout().toMillis()
                    + " ms, and the last take would miss them: close them, then seal; open: "
                    + asyncWrites.stream().limit(8).map(String::valueOf).toList());
          }
          try {
            asyncWrites.wait(LOOK_MILLIS); // a landing that came just before is seen at the next
          } catch (InterruptedException e) {
            interrupted = true;
          }
          // No more than a few looks: time in which this process was stopped blames nobody.
          left -= Math.min(System.nanoTime() - begin, MOST_OF_A_LOOK_NANOS);
        }
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  /** The guest runs on. */
  public void unseal() {
    log.unseal();
  }

  /** Closes the log, has listeners leave, and unmaps RAM of our own. Can be tried again. */
  public void close() {
    if (log.rcu().isInSection()) {
      throw new IllegalStateException(
          "close() in a read-side section, or by a listener, would wait for itself: "
              + "let another thread do it, or do it afterwards");
    }
    log.rcu().checkMayWait("close()"); // nothing is closed yet
    // ORDER C1 volatile: closed before the vCPUs are asked to drop what they hold (S3). Pairs with
    // the read in isSealedOrClosed, which a vCPU makes in its arm callback, and that in checkOpen,
    // which it makes after it has come online (S5). If weaker: a vCPU keeps or finds a slot whose
    // RAM is unmapped a moment later.
    closed = true;
    gate.close(); // who waits there finds the memory closed
    log.close();
    log.rcu().barrier(); // the listeners write no more
    locked(() -> new ArrayList<>(rams).forEach(SparseRam::close)); // a commit has ended by now
  }
}
