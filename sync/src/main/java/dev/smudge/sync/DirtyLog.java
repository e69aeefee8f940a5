package dev.smudge.sync;

import dev.smudge.bitmap.PageSet;
import dev.smudge.ring.DirtyRing;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.UnaryOperator;
import org.agrona.ErrorHandler;
import org.agrona.concurrent.Agent;
import org.jspecify.annotations.Nullable;

/**
 * Which pages of a guest's RAM were written: the tracker, without RAM of its own.
 *
 * <p>An emulator tells it of its memory slots and its vCPUs, marks what the guest writes, and calls
 * {@link LogVcpu#safepoint}. Clients ({@link #client}) then take dirty pages, each with its own
 * view. No write is lost: if a client was given a page and read it, every guest write to that page
 * whose bytes it did not read makes the page dirty for that client again.
 *
 * <p>How it works. A page's live bit is set by the vCPU that writes it; while it is set, writes
 * cost one load. {@link #sync} copies new bits into the cached bitmap of the slot and into every
 * client's view. A client that takes pages clears, in the backend, those bits that are in the
 * cached bitmap (so no client clears a bit that the others were not told of), and then waits for
 * the barrier, after which every store that was not reported is visible. While there is no client,
 * all live bits are set.
 *
 * <p>With a dirty ring a vCPU ({@link Builder#ring}) each vCPU reports what it makes dirty in a
 * ring of its own, and collecting costs what is dirty and nothing else; clients and batches are the
 * same. Whatever collects harvests the rings, and resets them, which arms their pages.
 *
 * <p>Threads: every method may be called from any thread, vCPUs included; those that collect take a
 * lock, which nobody holds while waiting for a vCPU. Source: design 3; QEMU accel/kvm/kvm-all.c.
 */
public final class DirtyLog implements AutoCloseable {
  private static final System.Logger LOGGER = System.getLogger(DirtyLog.class.getName());

  private static final int MAX_GENERATION = 0xffff;

  private final ReentrantLock lock = new ReentrantLock();
  private final SlotTable slots = new SlotTable();
  private final VcpuGroup vcpus;
  private final Rcu rcu;
  private final DirtyLogBackend backend;
  private final boolean marksOwn; // guest writes are marked by vCPUs of this log
  private final LogSources sources = new LogSources(this);
  private final ErrorHandler errorHandler;
  private final AtomicInteger generations = new AtomicInteger(1); // of slots: see LogSlot.ringId

  // Under the lock.
  private DirtyClient[] clients = new DirtyClient[0];
  private int nextVcpuIndex;
  private boolean closed;
  private final @Nullable LogRings rings; // null: bitmap mode
  private final LongAdder devicePages = new LongAdder();
  private final CounterSums otherCounts = new CounterSums(); // of closed vCPUs, and of a backend

  private volatile boolean sealed;

  private DirtyLog(Builder builder, boolean stopped) {
    this.errorHandler = builder.errorHandler;
    this.vcpus = new VcpuGroup(stopped, builder.timeout.toNanos(), errorHandler);
    this.rcu = new Rcu(vcpus);
    boolean ringMode = builder.ringEntries != 0;
    DirtyLogBackend other = builder.backend;
    this.marksOwn = other == null;
    this.backend =
        builder.interceptor.apply(
            other == null ? new SoftwareBackend(slots, vcpus, ringMode) : other);
    this.rings =
        ringMode
            ? new LogRings(
                builder.ringEntries,
                builder.ringReserve,
                builder.ringFullPolicy,
                backend,
                slots,
                vcpus,
                marksOwn ? null : otherCounts)
            : null;
  }

  /** {@return a log for vCPUs that run while pages are taken, with defaults} */
  public static DirtyLog create() {
    return builder().build();
  }

  /**
   * Returns a log for an emulator with a natural stop (a frame, a step): the caller promises that
   * nothing writes guest memory while it syncs, takes or discards. There are no vCPUs, no handshake
   * and no cost of one; writes are marked with {@link #mark}.
   *
   * @return the log
   */
  public static DirtyLog createStopped() {
    return new DirtyLog(builder(), true);
  }

  /** {@return a builder with defaults} */
  public static Builder builder() {
    return new Builder();
  }

  /** Options of a {@link DirtyLog}. Not thread-safe. */
  public static final class Builder {
    private Duration timeout = Duration.ofSeconds(10);
    private ErrorHandler errorHandler =
        e -> LOGGER.log(System.Logger.Level.ERROR, "dirty log: " + e.getMessage(), e);
    private @Nullable DirtyLogBackend backend; // null: the built-in one
    private UnaryOperator<DirtyLogBackend> interceptor = UnaryOperator.identity();
    private int ringEntries; // 0: bitmap mode
    private int ringReserve;
    private RingFullPolicy ringFullPolicy = RingFullPolicy.WAIT;

    private Builder() {}

    /**
     * As {@link #ring(int, int, RingFullPolicy)}, with the kernel's reserve of 64 entries, or a
     * quarter of a ring that is smaller than 256, and {@link RingFullPolicy#WAIT}.
     *
     * @param entries of each ring
     * @return this
     * @throws IllegalArgumentException see there
     */
    public Builder ring(int entries) {
      return ring(entries, Math.min(64, entries / 4), RingFullPolicy.WAIT);
    }

    /**
     * Has each vCPU report in a dirty ring of its own. Default: bitmap mode, without rings.
     *
     * @param entries of each ring, a power of two from 2 to 65,536; 16 bytes each
     * @param reserve how many are left when a ring is soft full, 0 to {@code entries - 1}: what a
     *     vCPU makes dirty from one safepoint to the next should find room there; beyond it pages
     *     go to the bitmap of their slot
     * @param policy what the vCPU does then, at its next safepoint
     * @return this
     * @throws IllegalArgumentException if a value is outside that
     */
    public Builder ring(int entries, int reserve, RingFullPolicy policy) {
      DirtyRing.checkSize(entries, reserve);
      this.ringFullPolicy = Objects.requireNonNull(policy, "policy");
      this.ringEntries = entries;
      this.ringReserve = reserve;
      return this;
    }

    /**
     * Sets how long a barrier or a pause waits for a vCPU before it fails with {@link
     * VcpuTimeoutException}. Default: 10 seconds.
     *
     * @param limit more than zero, at most a day
     * @return this
     * @throws IllegalArgumentException if it is outside that
     */
    public Builder timeout(Duration limit) {
      if (limit.isZero() || limit.isNegative() || limit.compareTo(Duration.ofDays(1)) > 0) {
        throw new IllegalArgumentException(
            "timeout " + limit + " is not more than zero and at most a day");
      }
      this.timeout = limit;
      return this;
    }

    /**
     * Sets who is told of errors that have no caller: a vCPU whose thread died, a write after
     * {@link DirtyLog#seal}. Default: the system logger {@code dev.smudge.sync.DirtyLog}.
     *
     * @param handler called from any thread; must not throw
     * @return this
     */
    public Builder errorHandler(ErrorHandler handler) {
      this.errorHandler = Objects.requireNonNull(handler, "handler");
      return this;
    }

    /**
     * Has guest writes caught by a backend of its own vCPUs, in place of the built-in one: the log
     * has no {@link LogVcpu}. Writes without a vCPU are marked as ever. With {@link #ring} its
     * rings are reaped.
     *
     * @param other backend of this log alone
     * @return this
     */
    public Builder backend(DirtyLogBackend other) {
      this.backend = Objects.requireNonNull(other, "other");
      return this;
    }

    /**
     * Puts a backend in front of the built-in one: to count, to trace, to inject faults. What it
     * leaves out is not done: a backend without {@code afterSync} loses writes.
     *
     * @param interceptor gets the built-in backend, returns what the log is to use
     * @return this
     */
    public Builder interceptBackend(UnaryOperator<DirtyLogBackend> interceptor) {
      this.interceptor = Objects.requireNonNull(interceptor, "interceptor");
      return this;
    }

    /** {@return the log} */
    public DirtyLog build() {
      return new DirtyLog(this, false);
    }
  }

  /**
   * Adds a memory slot. Its pages are dirty for every client that is there already.
   *
   * @param slotId 0 to 32,763, not in use
   * @param pageCount pages, 1 to about 137 billion
   * @param pageSize a power of two, 1 to 2^30, in bytes or in units of the embedder's own (an array
   *     cell a guest byte)
   * @return the slot
   * @throws IllegalArgumentException if a value is outside that; nothing is changed
   * @throws IllegalStateException if the log is closed
   */
  public LogSlot addSlot(int slotId, long pageCount, long pageSize) {
    SlotChange change = change();
    LogSlot slot = change.add(slotId, pageCount, pageSize);
    change.commit();
    return slot;
  }

  /**
   * Begins a change of the slots: adds, removes, and replaces them by others of the same memory.
   *
   * @return the change; {@link SlotChange#commit} makes it
   */
  public SlotChange change() {
    return new SlotChange(this);
  }

  LogSlot newSlot(int slotId, long pageCount, long pageSize) {
    if (slotId < 0 || slotId >= SlotTable.MAX_SLOTS) {
      throw new IllegalArgumentException(
          "slot " + slotId + " is outside 0 to " + (SlotTable.MAX_SLOTS - 1));
    }
    if (pageSize < 1 || pageSize > 1L << 30 || Long.bitCount(pageSize) != 1) {
      throw new IllegalArgumentException(
          "page size " + pageSize + " is not a power of two from 1 to " + (1L << 30));
    }
    if (pageCount > Long.MAX_VALUE / pageSize) {
      throw new IllegalArgumentException(
          pageCount + " pages of " + pageSize + " are more than 2^63 in all");
    }
    int generation = generations.getAndUpdate(g -> g == MAX_GENERATION ? 1 : g + 1);
    return new LogSlot(this, slotId, generation << 16 | slotId, pageCount, pageSize);
  }

  /**
   * Returns a slot.
   *
   * @param slotId its number
   * @return the slot
   * @throws IllegalArgumentException if there is no such slot
   */
  public LogSlot slot(int slotId) {
    return slots.get(slotId);
  }

  /**
   * As {@link #addVcpu(Runnable)}, for a vCPU that holds nothing that lets it skip a mark.
   *
   * @return the vCPU
   * @throws IllegalStateException if the log is closed, was made by {@link #createStopped}, or has
   *     a backend with vCPUs of its own
   */
  public LogVcpu addVcpu() {
    return addVcpu(() -> {});
  }

  /**
   * Adds a vCPU. It is offline until its thread uses it.
   *
   * @param armCallback run by the vCPU's own thread, at a safepoint or as it comes online, whenever
   *     pages were armed: it must drop whatever lets the vCPU write without a mark (write TLB
   *     entries, translated stores). It must not wait, nor ask for a barrier. If it throws, the
   *     exception comes out of the safepoint, and the next safepoint runs it again
   * @return the vCPU
   * @throws IllegalStateException if the log is closed, was made by {@link #createStopped}, or has
   *     a backend with vCPUs of its own ({@link Builder#backend})
   */
  public LogVcpu addVcpu(Runnable armCallback) {
    Objects.requireNonNull(armCallback, "armCallback");
    if (vcpus.isStopped()) {
      throw new IllegalStateException(
          "a log made by createStopped has no vCPUs: use DirtyLog.mark, or DirtyLog.create()");
    }
    if (!marksOwn) {
      throw new IllegalStateException(
          "the vCPUs of this log are those of its backend, and marks of others would be lost: use "
              + "DirtyLog.mark for what they write; backend: "
              + backend);
    }
    lock.lock();
    try {
      checkOpen();
      LogVcpu vcpu =
          rings == null
              ? new LogVcpu(this, vcpus, nextVcpuIndex, armCallback, null, RingFullPolicy.SPILL)
              : new LogVcpu(
                  this, vcpus, nextVcpuIndex, armCallback, rings.newRing(), rings.fullPolicy());
      nextVcpuIndex++;
      vcpus.add(vcpu);
      return vcpu;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Marks what was just written by a thread without a vCPU: a device model, DMA, a loader. Call it
   * after the write, and after it has landed. From any thread; one atomic OR a 64 pages; no
   * safepoints are needed.
   *
   * <p>In a log made by {@link #createStopped} this is the only way to mark, and costs one load
   * where the page is marked already.
   *
   * @param slotId slot
   * @param byteOffset offset of the first byte (or unit) written
   * @param length bytes (or units) written; 0 marks nothing
   * @throws IllegalArgumentException if there is no such slot; nothing is marked
   * @throws IndexOutOfBoundsException if the range is not inside the slot; nothing is marked
   */
  public void mark(int slotId, long byteOffset, long length) {
    mark(slots.get(slotId), byteOffset, length);
  }

  /**
   * As {@link #mark(int, long, long)}. A writer that may meet a change of the slots makes its write
   * and its mark in one read-side section ({@link Rcu#enter}), in which it has looked the slot up.
   *
   * @param slot slot of this log
   * @param byteOffset offset of the first byte (or unit) written
   * @param length bytes (or units) written; 0 marks nothing
   * @throws IllegalArgumentException if the slot is another log's, or was removed before the mark
   *     was made; clients may be told of the pages or not
   * @throws IndexOutOfBoundsException if the range is not inside the slot; nothing is marked
   */
  public void mark(LogSlot slot, long byteOffset, long length) {
    slot.checkTakesMarks(this);
    boolean stopped = vcpus.isStopped();
    long pages = stopped ? slot.markLive(byteOffset, length) : slot.markHost(byteOffset, length);
    if (pages != 0) {
      devicePages.add(pages);
    }
    slot.checkTakesMarks(this); // T2: again, after the mark
    if (pages != 0 || !stopped) {
      reportIfSealed(slot, byteOffset);
    }
  }

  /**
   * Starts a client.
   *
   * @param name for messages
   * @param initial what it sees as dirty
   * @return the client; close it when it has had enough
   * @throws IllegalStateException if the log is closed
   * @throws VcpuTimeoutException if a vCPU does not reach a safepoint in time ({@code NONE_DIRTY}
   *     only); there is no new client then
   */
  public DirtyClient client(String name, InitialView initial) {
    DirtyClient client = new DirtyClient(this, Objects.requireNonNull(name, "name"));
    boolean all = Objects.requireNonNull(initial, "initial") == InitialView.ALL_DIRTY;
    lock.lock();
    try {
      checkOpen();
      if (clients.length == 0) {
        sources.startLog();
      }
      try {
        start(client, all);
      } finally {
        if (clients.length == 0) { // it threw
          sources.stopLog();
        }
      }
    } finally {
      lock.unlock();
    }
    if (!all) {
      try {
        if (!afterSync()) {
          client.addAll();
        }
      } catch (RuntimeException | Error e) {
        client.close();
        throw e;
      }
    }
    return client;
  }

  private void start(DirtyClient client, boolean all) {
    if (clients.length == 0) {
      for (LogSlot slot : slots.used()) {
        backend.startLog(slot);
        slot.cached.addAll();
      }
    }
    if (!all) {
      fetch(); // the others keep what is theirs
    }
    for (LogSlot slot : slots.used()) {
      if (all) {
        client.addView(slot).addAll();
      } else {
        client.addView(slot);
        clearFetched(slot, slot.cached);
      }
    }
    clients = Arrays.copyOf(clients, clients.length + 1);
    clients[clients.length - 1] = client;
    collectViews();
    vcpus.setCollecting(true);
    if (!all) {
      for (LogSlot slot : slots.used()) {
        sources.clear(slot);
      }
    }
  }

  private void collectViews() {
    for (LogSlot slot : slots.used()) {
      collectViews(slot);
    }
  }

  void collectViews(LogSlot slot) {
    slot.views = Arrays.stream(clients).map(client -> client.view(slot)).toArray(PageSet[]::new);
  }

  void remove(DirtyClient client) {
    lock.lock();
    try {
      clients = Arrays.stream(clients).filter(c -> c != client).toArray(DirtyClient[]::new);
      collectViews();
      if (clients.length == 0) {
        vcpus.setCollecting(false);
        sources.stopLog();
        for (LogSlot slot : slots.used()) {
          backend.stopLog(slot);
          slot.cached.addAll();
        }
      }
    } finally {
      lock.unlock();
    }
  }

  /**
   * Fetches new dirty bits from the backend, once, for all clients. Clears none; but with rings the
   * pages that are found there are armed again. Every mark that is complete, and whose vCPU has
   * passed a safepoint since, is found. Cost: what is newly dirty. Does nothing without clients.
   *
   * @throws IllegalStateException if the log is closed
   */
  public void sync() {
    lock.lock();
    try {
      checkOpen();
      if (clients.length > 0) { // else no page is armed, and none is to be
        fetch();
      }
    } finally {
      lock.unlock();
    }
  }

  /** Under the lock. */
  void fetch() {
    reap();
    for (LogSlot slot : slots.used()) {
      fetch(slot);
    }
    for (LeavingSlot leaving : slots.leaving()) {
      fetch(leaving.slot());
    }
  }

  /** Under the lock; there is a client. */
  void reap() {
    if (rings != null) {
      rings.reap();
    }
  }

  /** Under the lock. */
  void fetch(LogSlot slot) {
    backend.getDirtyLog(
        slot,
        (wordIndex, bits) -> {
          // What is in the cache already is in every view, or was in it and cleared with the cache.
          long news = slot.cached.add(wordIndex, bits);
          if (news != 0) {
            if (!marksOwn) {
              otherCounts.addFetched(Long.bitCount(news));
            }
            addToViews(slot, wordIndex, news);
          }
        });
    var host = slot.hostOrNull();
    if (host != null) {
      host.drain((wordIndex, bits) -> addToViews(slot, wordIndex, bits));
    }
    sources.sync(slot);
  }

  /**
   * Returns a reaper, which harvests and resets rings when they are half full, so that vCPUs need
   * not wait until a client takes. What it finds is dirty for all clients, as after {@link #sync}.
   * Run it as the embedder likes: with an {@code AgentRunner} in a thread of its own, by calls of
   * {@code doWork} from a loop that there is anyway, or not at all. vCPUs may come and go. When the
   * log is closed, it does nothing more.
   *
   * @return the reaper; {@code doWork} takes no lock that it would have to wait for, and returns
   *     the number of entries that it harvested
   * @throws IllegalStateException if the log has no rings
   */
  public Agent reaper() {
    if (rings == null) {
      throw new IllegalStateException(
          "a log without rings has nothing to reap: DirtyLog.builder().ring(entries)");
    }
    return new RingReaper(lock, vcpus, rings);
  }

  /**
   * Returns the log's RCU: what is read in its sections is reclaimed after a grace period. A thread
   * that is online as a vCPU of this log has sections without a fence. Its timeout and its error
   * handler are the log's; it may be used after the log is closed.
   *
   * @return the same each time
   */
  public Rcu rcu() {
    return rcu;
  }

  void checkOwn(LogSlot slot) {
    slots.checkOwn(slot);
  }

  /** Takes a vCPU, which is offline and will not come back, out of the log. */
  void remove(LogVcpu vcpu) {
    lock.lock();
    try {
      if (rings != null && clients.length > 0) {
        rings.reap(); // also what it has begun to report, if its thread died: see VcpuRing.help
      }
      if (vcpus.remove(vcpu)) { // not if two threads close one that is dead
        otherCounts.add(vcpu);
      }
    } finally {
      lock.unlock();
    }
  }

  /**
   * Returns what was counted so far. Two of these give the dirty rate over the time between.
   *
   * @return the counters of now
   */
  public DirtyCounters counters() {
    lock.lock();
    try {
      CounterSums sums = new CounterSums();
      sums.add(otherCounts);
      Map<Integer, Long> vcpuPages = new HashMap<>();
      for (LogVcpu vcpu : vcpus.vcpus()) {
        vcpuPages.put(vcpu.index(), sums.add(vcpu));
      }
      return sums.toCounters(devicePages.sum(), vcpuPages);
    } finally {
      lock.unlock();
    }
  }

  static void addToViews(LogSlot slot, int wordIndex, long bits) {
    LeavingSlot leaving = slot.leaving;
    if (leaving != null) {
      for (long rest = bits; rest != 0; rest &= rest - 1) {
        leaving.tell(((long) wordIndex << 6) + Long.numberOfTrailingZeros(rest), 1);
      }
      return;
    }
    for (PageSet view : slot.views) {
      view.add(wordIndex, bits);
    }
  }

  static void addAllToViews(LogSlot slot) {
    if (slot.leaving != null) {
      slot.leaving.tell(0, slot.pageCount());
    }
    for (PageSet view : slot.views) {
      view.addAll();
    }
  }

  /**
   * Clears in the backend those of {@code pages} that are in the cached bitmap, and takes them out
   * of it. Under the lock. The caller gets its barrier afterwards in any case.
   */
  void clearFetched(LogSlot slot, PageSet pages) {
    ClearBatch batch = new ClearBatch(slot, slot.cached, backend::clearDirtyLog);
    try {
      pages.forEachWord(batch);
      batch.flush();
      // Only now: a page that is armed and in the cache still is in every view, so nothing is lost
      // if the backend throws half-way.
      slot.cached.removeAll(pages);
    } finally {
      // Also after an exception: what was cleared until then is armed.
      if (batch.armed) {
        vcpus.pagesArmed();
      }
    }
  }

  /**
   * Waits until every store by a vCPU that was made before this call is visible here, and no vCPU
   * relies on dirty bits from before it: the after-sync barrier. Clients need not call it: {@code
   * take} does. A vCPU may call it, and {@code take} too, where it holds no half-done store: for
   * its own vCPU the call is a safepoint. It waits for the others only.
   *
   * @throws VcpuTimeoutException if a vCPU does not reach a safepoint in time
   * @throws VcpuException if it is called inside an arm callback
   */
  public void barrier() {
    backend.afterSync();
  }

  /** The barrier, of the backend and then of all sources; returns whether it was all of them. */
  boolean afterSync() {
    backend.afterSync();
    return sources.afterSync();
  }

  /**
   * Adds a dirty source: something besides vCPUs that writes guest memory and keeps a log of its
   * own. It must not have written what clients are to be told of before this call.
   *
   * @param priority sources are called in ascending order, and stopped in descending order; those
   *     of the same priority in the order in which they were added
   * @param source the source
   * @return its registration; closing it removes the source
   * @throws IllegalStateException if the log is closed, or this is called by a source inside a call
   *     under the collector lock; and whatever {@link DirtySource#startLog} throws, if there is a
   *     client. The source is not there then
   */
  public SourceRegistration addSource(int priority, DirtySource source) {
    Objects.requireNonNull(source, "source");
    lock.lock();
    try {
      checkOpen();
      return sources.add(priority, source);
    } finally {
      lock.unlock();
    }
  }

  /**
   * Returns a lock for the embedder's own structures, for which a vCPU waits offline.
   *
   * @param what what its holder does, for messages: "a change of ..."
   * @return a new lock
   */
  public VcpuLock newLock(String what) {
    return new VcpuLock(this, Objects.requireNonNull(what, "what"));
  }

  /**
   * Tells the error handler of an error that has no caller.
   *
   * @param error the error
   */
  public void report(Throwable error) {
    errorHandler.onError(error);
  }

  /**
   * Stops all vCPUs but the caller's own, each at a safepoint or offline, until the result is
   * closed. One pause at a time: a second caller waits for the first to end. Writers without a vCPU
   * go on.
   *
   * @return the pause; closing it lets the vCPUs run
   * @throws VcpuTimeoutException if a vCPU does not reach a safepoint, or another's pause does not
   *     end, in time; nothing is paused then
   * @throws VcpuException if this thread holds a pause already, or is in an arm callback
   */
  public VcpuPause pause() {
    VcpuPause pause = vcpus.pause();
    try {
      pause.onClose(backend.pauseVcpus());
    } catch (RuntimeException | Error e) {
      pause.close();
      throw e;
    }
    return pause;
  }

  /**
   * Declares the guest stopped for good: pages are armed, every vCPU runs its arm callback before
   * it writes again, and every later mark is reported to the error handler as a {@link
   * SealedException}, once a page for vCPUs, each time for others. The pages are marked
   * nonetheless. Call it after the guest was stopped and before the last take.
   *
   * @throws VcpuTimeoutException if a vCPU does not reach a safepoint in time; not sealed then
   */
  public void seal() {
    VcpuPause pause = pause();
    try {
      sealWhilePaused();
    } finally {
      pause.close();
    }
  }

  /**
   * Stops the vCPUs that are the backend's own, as a change does that removes slots. For who makes
   * such a change under a lock of its own: this comes before that lock. Else one thread waits with
   * the lock for the end of another's pause, and that one, which may change slots too, for the
   * lock. For a thread that has stopped them already it does not wait. Does nothing where such a
   * change would be refused: in a read-side section, and under the collector lock.
   *
   * @return lets them go on; to be called once, by any thread
   * @throws VcpuTimeoutException if one does not stop in time, or another's pause does not end;
   *     none is stopped then
   */
  public Runnable stopBackendVcpus() {
    return rcu.isInSection() || lock.isHeldByCurrentThread() ? () -> {} : backend.pauseVcpus();
  }

  private void sealWhilePaused() {
    lock.lock();
    try {
      checkOpen();
      fetch();
      for (LogSlot slot : slots.used()) {
        clearFetched(slot, slot.cached);
        sources.clear(slot);
      }
    } finally {
      lock.unlock();
    }
    // ORDER L1 volatile: sealed before the last drain of host marks. Pairs with the read in
    // reportIfSealed, after the mark. If weaker: a late write is neither collected nor reported.
    sealed = true;
    armAll();
    try {
      // All others are offline; the caller's own vCPU, if it is one, drops what it holds, and finds
      // the log sealed as it does.
      afterSync();
    } catch (RuntimeException | Error e) {
      sealed = false;
      throw e;
    }
  }

  /** Has every vCPU run its arm callback, also if nothing was left to be armed. */
  private void armAll() {
    lock.lock();
    try {
      vcpus.pagesArmed();
    } finally {
      lock.unlock();
    }
  }

  /** Takes {@link #seal} back: the guest runs on here after all. Nothing is lost by the two. */
  public void unseal() {
    sealed = false;
  }

  /** {@return whether the log is sealed} */
  public boolean isSealed() {
    return sealed;
  }

  /** After a mark. */
  void reportIfSealed(LogSlot slot, long byteOffset) {
    // L1.
    if (sealed) {
      errorHandler.onError(
          new SealedException(
              "a write to slot "
                  + slot.id()
                  + " at offset "
                  + byteOffset
                  + " by "
                  + Thread.currentThread()
                  + " came after seal()"));
    }
  }

  /** Refuses where waiting for vCPUs, or for read-side sections, would not end. */
  SlotTable table() {
    return slots;
  }

  DirtyClient[] clients() {
    return clients;
  }

  VcpuGroup vcpus() {
    return vcpus;
  }

  String slotIds() {
    return slots.ids();
  }

  LogSources sources() {
    return sources;
  }

  DirtyLogBackend backend() {
    return backend;
  }

  LogSlot[] usedSlots() {
    return slots.used();
  }

  ReentrantLock lock() {
    return lock;
  }

  void checkOpen() {
    if (closed) {
      throw new IllegalStateException("the dirty log is closed");
    }
    sources.checkNotCalling();
  }

  /**
   * Closes all clients and sources, takes the slots from the backend, and has every vCPU pass a
   * safepoint, or be offline, and run its arm callback. vCPUs may go on and are tracked no more. A
   * second call does it all again.
   *
   * @throws VcpuTimeoutException if a vCPU does not stop, or reach a safepoint, in time; closed
   *     nonetheless, but the RAM of its slots may be in use still
   */
  @Override
  public void close() {
    DirtyClient[] open;
    lock.lock();
    try {
      closed = true;
      open = clients;
    } finally {
      lock.unlock();
    }
    for (DirtyClient client : open) {
      client.close();
    }
    sources.closeAll();
    LogSlot[] all = slots.used();
    backend.changeSlots(List.of(all), List.of(), () -> removeAtClose(all));
    armAll();
    vcpus.barrier();
  }

  /** A backend that hands out RAM, to a kernel perhaps, takes it back. */
  private void removeAtClose(LogSlot[] all) {
    lock.lock();
    try {
      for (LogSlot slot : all) {
        backend.removeSlot(slot);
      }
    } finally {
      lock.unlock();
    }
  }
}
