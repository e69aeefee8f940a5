package dev.smudge.core;

import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.VcpuPause;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * The memory of a guest: slots of RAM at guest addresses, vCPUs and devices that write it, clients
 * that collect what was written.
 *
 * <p>Guest addresses are 64 bits, unsigned. All methods may be called from any thread. Source:
 * design 2 and 6.
 */
public final class GuestMemory implements AutoCloseable {
  static final long DEFAULT_PAGE_SIZE = 4096;

  private final DirtyLog log;
  private final Set<SparseRam> rams = ConcurrentHashMap.newKeySet();
  private final Set<RemovedGuestSlot> removedSlots = ConcurrentHashMap.newKeySet(); // not closed

  @SuppressWarnings("ThreadLocalUsage") // one a memory
  private final ThreadLocal<@Nullable SlotOverlay> transactions = new ThreadLocal<>();

  private final DeviceMemory device;
  private final MemoryListeners listeners;
  private volatile SlotMap slots = SlotMap.EMPTY;
  private volatile boolean closed;

  @SuppressWarnings("this-escape") // to its own device
  private GuestMemory(DirtyLog log) {
    this.log = log;
    this.device = new DeviceMemory(this, log.rcu());
    this.listeners = new MemoryListeners(log);
  }

  /** {@return a memory without slots, with a dirty log of default options} */
  public static GuestMemory create() {
    return new GuestMemory(DirtyLog.create());
  }

  /**
   * Makes a memory over a dirty log.
   *
   * @param log a new log: its slots, vCPUs and clients are this memory's from here on, which also
   *     closes it
   * @return a memory without slots
   */
  public static GuestMemory over(DirtyLog log) {
    return new GuestMemory(Objects.requireNonNull(log, "log"));
  }

  /** {@return the dirty log below} */
  public DirtyLog log() {
    return log;
  }

  /**
   * Adds a slot of pages of 4 KiB, over RAM of our own.
   *
   * @param slotId 0 to 32,763, not in use
   * @param guestAddress address of its first byte, a multiple of 4096
   * @param size bytes, a multiple of 4096, more than 0
   * @return the slot
   * @throws IllegalArgumentException if a value is outside that, or the slot would overlap another
   *     or wrap round; nothing is changed
   * @throws IllegalStateException if the memory is closed, or this thread has a transaction open
   * @throws java.io.UncheckedIOException if the system gives no memory; nothing is changed
   */
  public GuestSlot addSlot(int slotId, long guestAddress, long size) {
    return addSlot(slotId, guestAddress, size, DEFAULT_PAGE_SIZE);
  }

  /**
   * Adds a slot over RAM of our own: zeroed, and committed as it is touched. A machine that runs
   * out of memory as the guest touches it gets an {@link InternalError} from that access, not a
   * crash.
   *
   * @param slotId 0 to 32,763, not in use
   * @param guestAddress address of its first byte, a multiple of the page size
   * @param size bytes, a multiple of the page size, more than 0
   * @param pageSize bytes, a power of two from 256 to 2^30
   * @return the slot
   * @throws IllegalArgumentException if a value is outside that, or the slot would overlap another
   *     or wrap round; nothing is changed
   * @throws IllegalStateException if the memory is closed, or this thread has a transaction open
   * @throws java.io.UncheckedIOException if the system gives no memory; nothing is changed
   */
  public GuestSlot addSlot(int slotId, long guestAddress, long size, long pageSize) {
    try (SlotTransaction transaction = beginAlone()) {
      transaction.add(slotId, guestAddress, size, pageSize).commit();
      return transaction.made(slotId);
    }
  }

  /**
   * Adds a slot over RAM that the embedder has: native memory, a mapped file, a Java array, a
   * {@code ByteBuffer} ({@link MemorySegment#ofBuffer}). The segment stays the embedder's, has to
   * live as long as this memory, and has to be accessible to every thread that uses it. Atomics
   * need memory that is aligned to their width: a {@code byte[]} is not.
   *
   * @param slotId 0 to 32,763, not in use
   * @param guestAddress address of its first byte, a multiple of the page size
   * @param ram the RAM, writable and alive; its size is the slot's: a multiple of the page size,
   *     more than 0
   * @param pageSize bytes, a power of two from 256 to 2^30
   * @return the slot
   * @throws IllegalArgumentException if a value is outside that, or the slot would overlap another
   *     or wrap round; nothing is changed
   */
  public GuestSlot addSlot(int slotId, long guestAddress, MemorySegment ram, long pageSize) {
    try (SlotTransaction transaction = beginAlone()) {
      transaction.add(slotId, guestAddress, ram, pageSize).commit();
      return transaction.made(slotId);
    }
  }

  /**
   * Removes a slot: a transaction of one step.
   *
   * @param slotId its number
   * @return the slot's RAM and its last dirty pages; close it when they have been read
   * @throws IllegalArgumentException if there is no such slot; nothing is changed
   * @throws IllegalStateException as {@link SlotTransaction#commit}, and if this thread has a
   *     transaction open; nothing is changed
   * @throws dev.smudge.sync.RcuException see {@link SlotTransaction#commit}; nothing is changed
   * @throws dev.smudge.sync.RcuTimeoutException see there; the slot is removed
   */
  public RemovedGuestSlot removeSlot(int slotId) {
    try (SlotTransaction transaction = beginAlone()) {
      return transaction.remove(slotId).commit().getFirst();
    }
  }

  private SlotTransaction beginAlone() {
    if (transactions.get() != null) {
      throw new IllegalStateException(
          "this thread has a transaction open: add or remove the slot in that one");
    }
    return beginTransaction();
  }

  /**
   * Begins a change of the slots, or, if this thread has one open, a part of that.
   *
   * @return the transaction; its {@code commit} makes the change, its {@code close} without that
   *     drops it
   * @throws IllegalStateException if the memory is closed
   */
  public SlotTransaction beginTransaction() {
    checkOpen();
    SlotOverlay overlay = transactions.get();
    if (overlay == null) {
      overlay = new SlotOverlay();
      transactions.set(overlay);
    }
    return new SlotTransaction(this, overlay);
  }

  void endTransaction() {
    transactions.remove();
  }

  /** In the middle of a commit. */
  void publish(SlotMap after, List<RemovedGuestSlot> removed) {
    removedSlots.addAll(removed); // first: who finds a slot in no map finds it there
    // ORDER C2 volatile: the map before vCPUs are told of it (S3). Pairs with the reads in map, by
    // Vcpu.pagesArmed among others. If weaker: a vCPU acknowledges the change, and keeps a cursor
    // in a slot whose RAM is unmapped a moment later.
    slots = after;
  }

  MemoryListeners listeners() {
    return listeners;
  }

  Set<RemovedGuestSlot> handles() {
    return removedSlots;
  }

  SparseRam newRam() {
    return new SparseRam(rams);
  }

  SlotMap map() {
    return slots;
  }

  /** Marks the slots that are over a range of memory now. */
  @SuppressWarnings("ReferenceEquality") // of one memory
  void markMemory(SlotPlan plan, long from, long end) {
    Object memory = plan.memory();
    log.rcu().enter();
    try {
      for (GuestSlot slot : slots.slots()) {
        long start = Math.max(from, slot.plan.memoryOffset());
        long stop = Math.min(end, slot.plan.memoryEnd());
        if (start < stop && slot.plan.memory() == memory) {
          log.mark(slot.log, start - slot.plan.memoryOffset(), stop - start);
        }
      }
    } finally {
      log.rcu().exit();
    }
  }

  /** Tells removers of a late write to a range of memory. */
  @SuppressWarnings("ReferenceEquality") // of one memory
  void markRemoved(SlotPlan plan, long from, long end) {
    Object memory = plan.memory();
    for (RemovedGuestSlot removed : removedSlots) {
      SlotPlan old = removed.slot().plan;
      long start = Math.max(from, old.memoryOffset());
      long stop = Math.min(end, old.memoryEnd());
      if (start < stop && old.memory() == memory) {
        removed.markLate(start - old.memoryOffset(), stop - start);
      }
    }
  }

  /**
   * Returns a slot.
   *
   * @param slotId its number
   * @return the slot
   * @throws IllegalArgumentException if there is no such slot
   */
  public GuestSlot slot(int slotId) {
    return slots.get(slotId);
  }

  /** {@return the slots of now, by ascending guest address} */
  public List<GuestSlot> slots() {
    return List.of(slots.slots());
  }

  /** The slots, for an access. */
  SlotMap openMap() {
    checkOpen();
    return slots;
  }

  GuestSlot find(long address, long length) {
    return openMap().find(address, length);
  }

  void checkOpen() {
    if (closed) {
      throw new IllegalStateException("the guest memory is closed");
    }
  }

  /** The log's part of a slot, which has to be one of this memory now. */
  LogSlot current(GuestSlot slot) {
    SlotMap now = slots;
    if (!now.isCurrent(slot)) {
      throw new IllegalArgumentException(
          slot + " is another memory's, or was removed or changed; slots: " + now.describe());
    }
    return slot.log;
  }

  /**
   * Adds a vCPU.
   *
   * @return the vCPU; it is offline until its thread uses it
   * @throws IllegalStateException if the memory is closed
   */
  public Vcpu addVcpu() {
    return addVcpu(() -> {});
  }

  /**
   * Adds a vCPU that keeps something which lets it store without the accessors (a write TLB,
   * translated code).
   *
   * @param armCallback drops that; see {@link DirtyLog#addVcpu(Runnable)}. It runs after every
   *     change that took slots away, too: {@link GuestSlot}s, and addresses in their RAM, are not
   *     to be used after it
   * @return the vCPU; it is offline until its thread uses it
   * @throws IllegalStateException if the memory is closed
   */
  public Vcpu addVcpu(Runnable armCallback) {
    return new Vcpu(this, Objects.requireNonNull(armCallback, "armCallback"));
  }

  /**
   * Registers a listener: something that follows the memory map and may write guest memory by
   * itself, keeping a dirty log of its own. While there are clients its log is started first; then
   * the present map is replayed to it, by ascending address. A vCPU that has to wait for a change
   * that is under way is offline meanwhile.
   *
   * @param priority listeners are called in ascending order, and in descending order where a slot
   *     goes or logging stops; those of the same priority in the order in which they came
   * @param listener the listener
   * @return its registration; closing it unregisters the listener, as does {@link #close}
   * @throws IllegalStateException if the memory is closed, or this is called by a listener of this
   *     memory inside begin to commit or under the collector lock; and whatever {@link
   *     MemoryListener#logGlobalStart} throws. The listener is not registered then
   * @throws dev.smudge.sync.VcpuTimeoutException if a change that is under way does not end in time
   */
  public ListenerRegistration addListener(int priority, MemoryListener listener) {
    Objects.requireNonNull(listener, "listener");
    listeners.beginChange();
    try {
      checkOpen();
      return listeners.add(priority, listener, slots());
    } finally {
      listeners.endChange();
    }
  }

  /** {@return access for writers that are no vCPU: device models, DMA, loaders; from any thread} */
  public DeviceMemory device() {
    return device;
  }

  /**
   * Starts a client.
   *
   * @param name for messages
   * @param initial what it sees as dirty
   * @return the client; close it when it has had enough
   * @throws IllegalStateException if the memory is closed
   * @throws dev.smudge.sync.VcpuTimeoutException see {@link DirtyLog#client}
   */
  public GuestClient client(String name, InitialView initial) {
    return new GuestClient(this, log.client(name, initial));
  }

  /**
   * Stops all vCPUs but the caller's own; see {@link DirtyLog#pause}.
   *
   * @return the pause; closing it lets the vCPUs run
   * @throws dev.smudge.sync.VcpuTimeoutException see {@link DirtyLog#pause}
   */
  public VcpuPause pause() {
    return log.pause();
  }

  /**
   * Declares the guest stopped for good (catalogue 24): later writes through the accessors are
   * refused with {@link dev.smudge.sync.SealedException} before they touch RAM; those that were
   * under way, and marks, are reported to the log's error handler. Call it after the guest was
   * stopped and before the last take.
   *
   * @throws dev.smudge.sync.VcpuTimeoutException if a vCPU does not reach a safepoint in time; not
   *     sealed then
   */
  public void seal() {
    log.seal();
  }

  /** Takes {@link #seal} back: the guest runs on here after all. Nothing is lost by the two. */
  public void unseal() {
    log.unseal();
  }

  boolean isSealedOrClosed() {
    return closed || log.isSealed();
  }

  /**
   * Closes the clients and the dirty log, unregisters the listeners, waits until every vCPU has
   * passed a safepoint or is offline and until the tasks of {@code log().rcu()} have run that are
   * queued by then (the listeners have left), and unmaps our own RAM: later accesses fail with
   * {@link IllegalStateException}. RAM of the embedder's is left alone. A second call does nothing.
   *
   * @throws dev.smudge.sync.VcpuTimeoutException if a vCPU does not reach a safepoint in time: then
   *     our RAM stays mapped, and closing can be tried again
   * @throws dev.smudge.sync.RcuTimeoutException if a read-side section, or a reclaimer, keeps it
   *     waiting for too long: closing can be tried again
   * @throws IllegalStateException if I/O into our RAM is under way: closing can be tried again; or
   *     if it is called in a read-side section or by a listener: nothing is changed
   */
  @Override
  public void close() {
    if (log.rcu().isInSection()) {
      throw new IllegalStateException(
          "close() in a read-side section, or by a listener, would wait for itself: "
              + "let another thread do it, or do it afterwards");
    }
    // ORDER C1 volatile: closed before the vCPUs are asked to drop what they hold. Pairs with the
    // read in find, which a vCPU makes after it has come online (S5). If weaker: a vCPU finds a
    // slot whose RAM is unmapped a moment later.
    closed = true;
    log.close();
    log.rcu().barrier(); // the listeners write no more
    listeners.beginChange(); // a commit that was under way has ended
    try {
      rams.forEach(SparseRam::close); // one by one: closing can be tried again
    } finally {
      listeners.endChange();
    }
  }
}
