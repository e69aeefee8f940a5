package dev.smudge.core;

import dev.smudge.core.internal.map.AddressSpace;
import dev.smudge.core.internal.map.MappedSlot;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.RemovedSlot;
import dev.smudge.sync.VcpuPause;
import dev.smudge.sync.pages.PagePort;
import dev.smudge.sync.tracker.Registration;
import dev.smudge.sync.watch.PageWatch;
import dev.smudge.sync.watch.WriteListener;
import dev.smudge.sync.watch.WriteWatch;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * The memory of a guest: slots of RAM at guest addresses, vCPUs and devices that write it, and
 * clients that collect the dirty pages.
 *
 * <p>Guest addresses are 64 bits, unsigned. The guest's byte order is the memory's: accessors of
 * vCPUs and devices use it. All methods may be called from any thread. Source: docs/design.md 2 and
 * 6.
 */
public final class GuestMemory implements AutoCloseable {
  static final long DEFAULT_PAGE_SIZE = 4096;

  private final AddressSpace space;
  private final ByteOrder order;
  private final DeviceMemory device;
  private final Map<Integer, RemovedSlot<GuestSlot>> lateRemovals = new ConcurrentHashMap<>();

  private GuestMemory(DirtyLog log, ByteOrder order) {
    this.space = new AddressSpace(log);
    space.embedded().claim("a GuestMemory", new SlotContent(space), space.doubt());
    this.order = order;
    this.device = new DeviceMemory(space, order);
  }

  /** {@return a little-endian memory without slots, with a dirty log of default options} */
  public static GuestMemory create() {
    return over(DirtyLog.create());
  }

  /**
   * Makes a little-endian memory over a dirty log.
   *
   * @param log a new log: its slots, vCPUs and clients are this memory's from here on, which also
   *     closes it
   * @return a memory without slots
   * @throws IllegalStateException if the log is that of another memory, has slots already, or is
   *     closed; nothing is changed
   */
  public static GuestMemory over(DirtyLog log) {
    return over(log, ByteOrder.LITTLE_ENDIAN);
  }

  /**
   * Makes a memory over a dirty log.
   *
   * @param log a new log: its slots, vCPUs and clients are this memory's from here on, which also
   *     closes it
   * @param order the guest's byte order
   * @return a memory without slots
   * @throws IllegalStateException as {@link #over(DirtyLog)}; nothing is changed
   */
  public static GuestMemory over(DirtyLog log, ByteOrder order) {
    return new GuestMemory(
        Objects.requireNonNull(log, "log"), Objects.requireNonNull(order, "order"));
  }

  AddressSpace space() {
    return space;
  }

  /** {@return the dirty log below} */
  public DirtyLog log() {
    return space.log();
  }

  /**
   * Adds a slot of pages of 4 KiB, over Smudge's own RAM.
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
   * Adds a slot over Smudge's own RAM, which is zero at first, and committed as it is touched. With
   * native access it is memory of this process, and the kernel ends the process if it touches more
   * than the machine has. Without native access it is a file in shared memory, or in the temporary
   * directory if that has more room, and an access for which there is no memory ends in an {@link
   * InternalError}.
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
   * Adds a slot over the embedder's own RAM: native memory, a mapped file, a Java array, a {@code
   * ByteBuffer} ({@link MemorySegment#ofBuffer}). The embedder keeps the segment, which has to live
   * as long as this memory, and has to be accessible to every thread that uses it. Atomics need
   * memory that is aligned to their width: a {@code byte[]} is not.
   *
   * <p>Two slots cannot share memory, because a write through one would not be dirty in the other;
   * this is refused. If the guest sees RAM at several addresses, add it once and decode all of
   * these addresses to that slot. The check does not recognise two mappings of one file as the same
   * memory, and does not look into other {@code GuestMemory}s: add RAM to one of them, once.
   *
   * @param slotId 0 to 32,763, not in use
   * @param guestAddress address of its first byte, a multiple of the page size
   * @param ram the RAM, writable and alive; its size is the slot's: a multiple of the page size,
   *     more than 0
   * @param pageSize bytes, a power of two from 256 to 2^30
   * @return the slot
   * @throws IllegalArgumentException if a value is outside that, or the slot would overlap another
   *     or wrap round, or its RAM is another slot's too; nothing is changed
   * @throws IllegalStateException if the memory is closed, or this thread has a transaction open
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
   * @throws dev.smudge.sync.rcu.RcuException see {@link SlotTransaction#commit}; nothing is changed
   * @throws dev.smudge.sync.rcu.RcuTimeoutException see there; the slot is removed, and the next
   *     call for this number waits again and returns it, unless another slot has the number by
   *     then. The same after an {@link Error} that came when the slot was removed already
   */
  public RemovedSlot<GuestSlot> removeSlot(int slotId) {
    try (SlotTransaction transaction = beginAlone()) {
      RemovedSlot<GuestSlot> late = space.map().has(slotId) ? null : late(slotId);
      if (late != null) {
        return late;
      }
      try {
        return transaction.remove(slotId).commit().getFirst();
      } catch (Throwable e) {
        for (RemovedSlot<GuestSlot> removed : transaction.removed()) {
          lateRemovals.put(slotId, removed); // which has its RAM: somebody has to close it
        }
        throw e;
      }
    }
  }

  /** A slot that was removed by a call that timed out; null if there is none. */
  private @Nullable RemovedSlot<GuestSlot> late(int slotId) {
    if (lateRemovals.containsKey(slotId)) {
      log().rcu().synchronize();
      log().rcu().barrier(); // its retirement is a task of RCU by now, or done
    }
    return lateRemovals.remove(slotId);
  }

  private SlotTransaction beginAlone() {
    if (space.transaction() != null) {
      throw new IllegalStateException(
          "this thread has a transaction open: add or remove the slot in that one");
    }
    return beginTransaction();
  }

  /**
   * Begins a change of the slots or, if this thread has a change open, a part of that change.
   *
   * @return the transaction; its {@code commit} makes the change, its {@code close} without a
   *     commit drops it
   * @throws IllegalStateException if the memory is closed
   */
  public SlotTransaction beginTransaction() {
    return new SlotTransaction(space);
  }

  /**
   * Returns a slot.
   *
   * @param slotId its number
   * @return the slot
   * @throws IllegalArgumentException if there is no such slot
   */
  public GuestSlot slot(int slotId) {
    return GuestSlot.of(space.map().get(slotId));
  }

  /** {@return the present slots, by ascending guest address} */
  public List<GuestSlot> slots() {
    return Arrays.stream(space.map().slots()).map(GuestSlot::of).toList();
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
   * @param armCallback drops it; see {@link DirtyLog#addVcpu(Runnable)}. It also runs after every
   *     change that took slots away: do not use older {@link GuestSlot}s, or addresses in their
   *     RAM, after it
   * @return the vCPU; it is offline until its thread uses it
   * @throws IllegalStateException if the memory is closed
   */
  public Vcpu addVcpu(Runnable armCallback) {
    return new Vcpu(space, order, Objects.requireNonNull(armCallback, "armCallback"));
  }

  /**
   * Registers a listener, which follows the memory map. It may write guest memory by itself if it
   * keeps its own dirty log. If there are clients, its log is started first; then the present map
   * is replayed to it, by ascending address. If a vCPU has to wait for a change that is under way,
   * it is offline meanwhile.
   *
   * <p>When its registration is closed and its last call has ended, a task of {@link
   * dev.smudge.sync.rcu.Rcu#callRcu} replays the removal of every slot that the listener was told
   * of (begin, regionDel with the highest address first, commit), collects the last pages of its
   * log, stops the log, and calls {@link MemoryListener#close}, once. The RAM of a slot that is
   * removed meanwhile is kept until then. Without a running reclaimer this happens in {@code
   * rcu().barrier()}, or when the memory is closed.
   *
   * @param priority listeners are called in ascending order, and in descending order if a slot goes
   *     or logging stops; listeners of the same priority in the order in which they were added
   * @param listener the listener
   * @return its registration; closing it unregisters the listener, as does {@link #close}
   * @throws IllegalStateException if the memory is closed, or this is called by a listener of this
   *     memory inside begin to commit or under the collector lock; and whatever {@link
   *     dev.smudge.sync.tracker.Tracker#startLog} of its tracker throws. The listener is not
   *     registered then
   * @throws dev.smudge.sync.error.VcpuTimeoutException if a change that is under way does not end
   *     in time
   */
  public Registration addListener(int priority, MemoryListener listener) {
    Objects.requireNonNull(listener, "listener");
    List<ListenerLink> made = new ArrayList<>();
    space.locked(
        new Runnable() { // no lambda over an int: it may stay unlinked (docs/design.md 3.8)
          @Override
          public void run() {
            space.checkOpen();
            ListenerLink link = new ListenerLink(space, priority, listener);
            boolean added = false;
            try {
              made.add(link);
              space.listeners().add(link, space.map().slots());
              added = true;
            } finally {
              if (!added) {
                link.close(); // it is a device of the log already
              }
            }
          }
        });
    return made.getFirst();
  }

  /**
   * Returns the port through which a {@code Rewind}, a {@code SnapshotStore}, a {@code Reset} or a
   * migration reads and writes whole pages. The user of the port marks the pages that it writes. As
   * with {@link DeviceMemory}, a write waits during {@link #pauseAll}, except for the holder of the
   * pause, and is refused after {@link #seal} and for slots that were removed. An array that is not
   * of the slot's page size is an {@link IllegalArgumentException}; nothing is written.
   *
   * @return the port; any number of them may be used, from any thread
   */
  public PagePort<GuestSlot> pages() {
    return new MemoryPages(space);
  }

  /** {@return access for writers without a vCPU: device models, DMA, loaders; from any thread} */
  public DeviceMemory device() {
    return device;
  }

  /**
   * Starts a client.
   *
   * @param name for messages
   * @param initial what it sees as dirty
   * @return the client; close it when it is no longer needed
   * @throws IllegalStateException if the memory is closed
   * @throws dev.smudge.sync.error.VcpuTimeoutException see {@link DirtyLog#client}
   */
  public DirtyClient<GuestSlot> client(String name, InitialView initial) {
    return space.embedded().client(name, initial, GuestSlot.class, GuestSlot::log);
  }

  /**
   * Watches pages of a slot: the first write to each page since it was armed, by a vCPU, a device
   * or a restore, calls the listener in the writer's thread, after the store. See the package
   * {@code dev.smudge.sync.watch}.
   *
   * @param slot slot of this memory; the watch ends when the slot is removed, moved or changed
   * @param listener is told guest addresses
   * @return the watch, with no page armed yet
   * @throws IllegalArgumentException if the slot is another memory's, or was removed
   * @throws IllegalStateException if the memory is closed
   * @throws UnsupportedOperationException if writes are found without marks: over KVM or the MMU
   */
  public PageWatch watchPages(GuestSlot slot, WriteListener listener) {
    return space.embedded().watchPages(slot.log(), slot.guestAddress(), listener);
  }

  /**
   * Watches a range: every write to it calls the listener. A {@link WriteWindow} calls it once, for
   * the whole window, when the window is opened, and not for the writes through it. Waits, and
   * throws, as {@link PageWatch#arm} and {@link #watchPages}.
   *
   * @param address guest address of its first byte
   * @param length bytes, 1 or more, all in one slot
   * @param listener is told guest addresses
   * @return the watch; it ends when the slot is removed, moved or changed
   * @throws GuestAccessException if the range is not all in one slot
   */
  public WriteWatch watchBytes(long address, long length, WriteListener listener) {
    MappedSlot slot = space.openMap().find(address, length);
    if (slot == null) {
      throw new GuestAccessException(address, length, "a watch has to be inside one slot");
    }
    return space.embedded().watchBytes(slot.log, slot.base, address, length, listener);
  }

  /**
   * Stops all vCPUs but the caller's own, and all writes through {@link #device} but the calling
   * thread's: until the pause is closed, only this thread changes guest RAM. Asynchronous writes
   * that have begun may still land. To stop the vCPUs alone, {@link DirtyLog#pause}.
   *
   * <p>A device's write that comes meanwhile waits, without a limit, until the pause is closed, its
   * holder has died, or the memory is closed. So the holder must not wait for anything that such a
   * thread may hold, for example a lock of the emulator. A write in a read-side section of its own
   * ({@code log().rcu()}), for which this thread may be waiting, goes through.
   *
   * @return the pause; closing it lets them go on
   * @throws dev.smudge.sync.error.VcpuTimeoutException see {@link DirtyLog#pause}; all go on, as
   *     after everything that is thrown here
   * @throws dev.smudge.sync.rcu.RcuTimeoutException if a write of a device does not end in time
   * @throws dev.smudge.sync.rcu.RcuException in a read-side section, or in a listener, which would
   *     wait for itself
   */
  public VcpuPause pauseAll() {
    return space.pauseAll();
  }

  /**
   * Declares the guest stopped for good (docs/bugs.md row 24): later writes through the accessors
   * are refused with {@link dev.smudge.sync.error.SealedException} before they touch RAM; writes
   * that were under way, and later marks, are reported to the log's error handler. Call it after
   * the guest was stopped and before the last take. It waits for the open asynchronous writes.
   *
   * @throws IllegalStateException if an asynchronous write does not land within the log's timeout,
   *     and the message names those; or if the memory is closed meanwhile; not sealed then
   * @throws dev.smudge.sync.error.VcpuTimeoutException if a vCPU does not reach a safepoint in
   *     time; not sealed then
   */
  public void seal() {
    space.seal();
  }

  /**
   * Undoes {@link #seal}: the guest runs on here after all. Sealing and unsealing lose no write.
   */
  public void unseal() {
    space.unseal();
  }

  /**
   * Closes the clients and the dirty log, unregisters the listeners, and waits until every vCPU has
   * passed a safepoint or is offline. It then waits until all queued tasks of {@code log().rcu()}
   * have run, so that the listeners have left, and unmaps Smudge's own RAM: later accesses fail
   * with {@link IllegalStateException}. The embedder's own RAM is left alone. A second call does
   * nothing.
   *
   * @throws dev.smudge.sync.error.VcpuTimeoutException if a vCPU does not reach a safepoint in
   *     time: Smudge's own RAM stays mapped, and closing can be tried again
   * @throws dev.smudge.sync.rcu.RcuTimeoutException if a read-side section, or a reclaimer, keeps
   *     it waiting for too long: closing can be tried again
   * @throws IllegalStateException if I/O into Smudge's own RAM is under way: closing can be tried
   *     again; or if it is called in a read-side section, by a listener, in a task of {@code
   *     log().rcu()} or in an arm callback: nothing is changed
   */
  @Override
  public void close() {
    space.close();
  }
}
