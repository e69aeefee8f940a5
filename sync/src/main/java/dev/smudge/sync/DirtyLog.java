package dev.smudge.sync;

import dev.smudge.sync.error.SealedException;
import dev.smudge.sync.error.VcpuException;
import dev.smudge.sync.error.VcpuTimeoutException;
import dev.smudge.sync.internal.collect.ClientView;
import dev.smudge.sync.internal.collect.Collector;
import dev.smudge.sync.internal.collect.HostWriter;
import dev.smudge.sync.internal.collect.RingReaper;
import dev.smudge.sync.internal.collect.Seal;
import dev.smudge.sync.internal.collect.Slot;
import dev.smudge.sync.internal.collect.SlotSwap;
import dev.smudge.sync.internal.collect.SlotWatch;
import dev.smudge.sync.internal.facade.ApiAccess;
import dev.smudge.sync.internal.facade.SlotMapping;
import dev.smudge.sync.internal.software.SoftwareTracker;
import dev.smudge.sync.internal.software.StoppedTracker;
import dev.smudge.sync.internal.vcpu.VcpuGroup;
import dev.smudge.sync.internal.vcpu.VcpuState;
import dev.smudge.sync.rcu.Rcu;
import dev.smudge.sync.rcu.RcuReader;
import dev.smudge.sync.tracker.Registration;
import dev.smudge.sync.tracker.Tracker;
import dev.smudge.sync.watch.PageWatch;
import dev.smudge.sync.watch.WriteListener;
import dev.smudge.sync.watch.WriteWatch;
import java.util.Objects;
import org.agrona.concurrent.Agent;
import org.jspecify.annotations.Nullable;

/**
 * Tracks which pages of a guest's RAM were written. It has no RAM of its own.
 *
 * <p>An emulator adds its memory slots and its vCPUs, marks the pages that the guest writes, and
 * calls {@link LogVcpu#safepoint}. Clients ({@link #client}) then take dirty pages, each with its
 * own view. No write is lost: if a client was given a page and read it, every guest write to that
 * page whose bytes the client did not read makes the page dirty for that client again.
 *
 * <p><b>How it works.</b> The live bit of a page is set by the vCPU that writes it; while it is
 * set, writes cost one load. A take clears the bits of its pages, which arms them: the next write
 * sets the bit again. The take then waits for the after-sync barrier, after which every store that
 * was not reported is visible. While there is no client, all live bits are set, and tracking costs
 * nothing.
 *
 * <p>With one dirty ring per vCPU ({@link DirtyLogBuilder#ring}), each vCPU reports newly dirty
 * pages in its own ring, and the cost of collecting depends only on the number of dirty pages.
 * Clients and batches are the same. A take or a {@link #sync} harvests the rings and resets them,
 * which arms their pages.
 *
 * <p>KVM, the MMU or a tracker of your own can find the writes instead: {@link
 * DirtyLogBuilder#tracker}.
 *
 * <p>Threads: every method may be called from any thread, vCPUs included; methods that collect take
 * a lock, which no thread holds while it waits for a vCPU. Source: docs/design.md 3; QEMU
 * accel/kvm/kvm-all.c.
 */
public final class DirtyLog implements AutoCloseable {
  static {
    ApiAccess.set(new ApiInternals());
  }

  final Collector collector;
  private final VcpuGroup vcpus;
  private final @Nullable SoftwareTracker software; // null: writes are found by another tracker
  private final RingFullPolicy ringFullPolicy;
  private final Seal seal;
  private final HostWriter hostWriter;

  DirtyLog(DirtyLogBuilder builder, boolean stopped) {
    this.vcpus = new VcpuGroup(builder.timeout, builder.errorHandler);
    this.seal = new Seal(vcpus);
    this.ringFullPolicy = builder.ringFullPolicy;
    SoftwareTracker own = builder.softwareTracker(vcpus.handshake(), stopped);
    this.software = own;
    Tracker first = own != null ? own : Objects.requireNonNull(builder.tracker);
    Tracker used =
        Objects.requireNonNull(builder.interceptor.apply(first), "what interceptTracker returns");
    this.collector = new Collector(used, vcpus, own == null, this::prepared);
    this.hostWriter = new HostWriter(collector.slots(), seal);
    builder.verifyBy(collector, stopped);
  }

  private void prepared(Slot slot) {
    ((LogSlot) slot.identity()).prepared(software);
  }

  /** {@return a log for vCPUs that run while pages are taken, with defaults} */
  public static DirtyLog create() {
    return builder().build();
  }

  /** {@return a builder with defaults} */
  public static DirtyLogBuilder builder() {
    return new DirtyLogBuilder();
  }

  /**
   * Adds a memory slot. Its pages are dirty for every existing client.
   *
   * @param slotId 0 to 32,763, not in use
   * @param pageCount pages, 1 to about 137 billion, and at most 2^63 - 1 bytes or units in all
   * @param pageSize a power of two, 1 to 2^30, in bytes or in units of the embedder's own (an array
   *     cell per guest byte)
   * @return the slot
   * @throws IllegalArgumentException if a value is outside that; nothing is changed
   * @throws IllegalStateException if the log is closed, or is that of a memory, which adds its
   *     slots
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
   * @throws IllegalStateException if the log is that of a memory, which changes its slots
   */
  public SlotChange change() {
    collector.slots().checkUnclaimed();
    return new SlotChange(collector);
  }

  /**
   * Returns a slot.
   *
   * @param slotId its number
   * @return the slot
   * @throws IllegalArgumentException if there is no such slot
   */
  public LogSlot slot(int slotId) {
    return (LogSlot) collector.slots().get(slotId).identity();
  }

  /**
   * As {@link #addVcpu(Runnable)}, for a vCPU without a write TLB or anything else that lets it
   * skip a mark.
   *
   * @return the vCPU
   * @throws IllegalStateException as there
   */
  public LogVcpu addVcpu() {
    return addVcpu(() -> {});
  }

  /**
   * Adds a vCPU. It is offline until its thread uses it.
   *
   * @param armCallback run by the vCPU's own thread, at a safepoint or as it comes online, whenever
   *     pages were armed: it must drop everything that lets the vCPU write without a mark (write
   *     TLB entries, translated stores). It must not wait or call {@link #barrier}. If it throws,
   *     the exception comes out of the safepoint, and the next safepoint runs it again
   * @return the vCPU
   * @throws IllegalStateException if the log is closed, was made by {@link
   *     DirtyLogBuilder#buildStopped}, or has a tracker with vCPUs of its own ({@link
   *     DirtyLogBuilder#tracker})
   */
  public LogVcpu addVcpu(Runnable armCallback) {
    Objects.requireNonNull(armCallback, "armCallback");
    if (collector.tracker().vcpus() != null) {
      throw new IllegalStateException(
          "the vCPUs of this log belong to its tracker, and marks of others would be lost: use "
              + "DirtyLog.mark for what they write; tracker: "
              + collector.tracker());
    }
    return collector.locked(() -> newVcpu(armCallback));
  }

  private LogVcpu newVcpu(Runnable armCallback) {
    LogVcpu vcpu =
        new LogVcpu(
            collector, software, vcpus.nextIndex(), armCallback, ringFullPolicy, hostWriter, seal);
    vcpus.add(vcpu.state());
    return vcpu;
  }

  /**
   * Marks a write by a thread without a vCPU: a device model, DMA, a loader. Call it after the
   * write has landed. From any thread; one atomic OR per 64 pages; no safepoints are needed. If
   * slots may change meanwhile, look the slot up, write and mark in one read-side section ({@link
   * Rcu#enter}).
   *
   * <p>A thread that is online as a vCPU of this log may call it too, so one slow path can serve
   * the vCPU and devices. If a page is not marked yet, the mark then counts as the vCPU's, as by
   * {@link LogVcpu#mark}, and the vCPU drops its write TLB when the page is armed again.
   *
   * @param slot slot of this log
   * @param byteOffset offset of the first byte (or unit) written
   * @param length bytes (or units) written; 0 marks nothing
   * @throws IllegalArgumentException if the slot is another log's, or was removed before the mark
   *     was made; clients may be told of the pages or not
   * @throws IndexOutOfBoundsException if the range is not inside the slot; nothing is marked
   */
  public void mark(LogSlot slot, long byteOffset, long length) {
    if (markBefore(slot, byteOffset, length)) {
      slot.slot.watches().tell(byteOffset, length);
    }
  }

  /** As {@link #mark}, before the write; returns whether watches are to be told after it. */
  boolean markBefore(LogSlot slot, long byteOffset, long length) {
    if (software instanceof StoppedTracker && slot.isMarked(byteOffset, length)) {
      slot.slot.checkOf(collector.slots());
      return false;
    }
    VcpuState self = software == null ? null : vcpus.self();
    return (self != null && isVcpuMark(self, slot, byteOffset, length))
        ? ((LogVcpu) self.identity()).markBefore(slot, byteOffset, length)
        : hostWriter.mark(slot.slot, byteOffset, length);
  }

  /** As {@link #markBefore}, after the write, in a section in which the slot was found. */
  boolean markOnly(RcuReader section, LogSlot slot, long byteOffset, long length) {
    return (section.mayHaveVcpu || software instanceof StoppedTracker)
        ? markBefore(slot, byteOffset, length)
        : hostWriter.markInSection(slot.slot, byteOffset, length);
  }

  // Whether the live bit has to be set, so that the vCPU is asked to drop what it holds when that
  // is cleared. Not in a call under the collector lock: a device marks for the fetch of now.
  private boolean isVcpuMark(VcpuState self, LogSlot slot, long byteOffset, long length) {
    return self.isRunning() && slot.hasUnmarked(byteOffset, length) && !collector.isLockedByMe();
  }

  /**
   * Watches pages of a slot: the listener is called at the first write to each page since the page
   * was armed. No page is armed yet.
   *
   * @param slot slot of this log
   * @param listener called by who writes, with offsets in the slot
   * @return the watch
   * @throws IllegalArgumentException if the slot is another log's, or was removed
   * @throws IllegalStateException if the log is closed
   * @throws UnsupportedOperationException if the log's tracker finds writes without marks
   */
  public PageWatch watchPages(LogSlot slot, WriteListener listener) {
    return SlotWatch.ofPages(collector, slot.slot, 0, listener);
  }

  /**
   * Watches a range of a slot: the listener is called at every write to it, from the return of this
   * call on. With a write TLB, enter a page only if {@link LogSlot#isMarked} is true after its
   * mark. Waits, and throws, as {@link PageWatch#arm} and {@link #watchPages}.
   *
   * @param slot slot of this log
   * @param byteOffset offset of the first byte (or unit)
   * @param length bytes (or units), 1 or more
   * @param listener called by who writes, with offsets in the slot
   * @return the watch
   * @throws IndexOutOfBoundsException if the range is not inside the slot
   */
  public WriteWatch watchBytes(LogSlot slot, long byteOffset, long length, WriteListener listener) {
    return SlotWatch.ofBytes(collector, slot.slot, 0, byteOffset, length, listener);
  }

  /**
   * Starts a client.
   *
   * @param name for messages
   * @param initial what it sees as dirty
   * @return the client; close it when it is no longer needed
   * @throws IllegalStateException if the log is closed, or has to verify writes and cannot read its
   *     pages ({@link DirtyLogBuilder#verify()})
   * @throws VcpuTimeoutException if a vCPU does not reach a safepoint in time ({@code NONE_DIRTY}
   *     only); there is no new client then
   */
  public DirtyClient<LogSlot> client(String name, InitialView initial) {
    return client(name, initial, ApiInternals.LOG_SLOTS);
  }

  <S> DirtyClient<S> client(String name, InitialView initial, SlotMapping<S> mapping) {
    ClientView view = new ClientView(Objects.requireNonNull(name, "name"));
    boolean all = Objects.requireNonNull(initial, "initial") == InitialView.ALL_DIRTY;
    DirtyClient<S> client = new DirtyClient<>(collector, mapping, view);
    collector.clients().start(view, all);
    return client;
  }

  /**
   * Fetches new dirty bits from the tracker, once, for all clients. Clears none, except that pages
   * found in rings are armed again. It finds every completed mark whose vCPU has passed a safepoint
   * since. The cost grows with the newly dirty pages. Does nothing without clients.
   *
   * @throws IllegalStateException if the log is closed
   * @throws dev.smudge.sync.verify.UnreportedWriteException in the verify mode, if a write was not
   *     marked; the pages that were fetched are dirty for all clients
   */
  public void sync() {
    collector.sync();
  }

  /**
   * Harvests and resets rings when one of them is half full, so that vCPUs need not wait until a
   * client takes. The pages that it finds are dirty for all clients, as after {@link #sync}. Call
   * it in any loop, from any thread: it waits for no lock, and does nothing once the log is closed.
   *
   * @return the number of entries; also 0 without clients, and while another thread collects
   * @throws IllegalStateException if the log has no rings
   */
  public int reap() {
    return RingReaper.reap(collector);
  }

  /**
   * Returns a new agent whose {@code doWork} is {@link #reap}, for an {@code AgentRunner}. vCPUs
   * may come and go. Only this method needs Agrona: to compile a call, to run it, and to list the
   * methods of this class by reflection.
   *
   * @return the reaper
   * @throws IllegalStateException if the log has no rings
   */
  @SuppressWarnings("exports") // whoever calls it requires Agrona
  public Agent reaper() {
    RingReaper.check(collector);
    return ReaperAgent.of(this);
  }

  /**
   * Returns the log's RCU: an object that is read in its sections is reclaimed after a grace
   * period. A thread that is online as a vCPU of this log has sections without a fence. Its timeout
   * and its error handler are the log's; it may be used after the log is closed.
   *
   * @return the same each time
   */
  public Rcu rcu() {
    return vcpus.rcu();
  }

  /**
   * Returns the counters. Two results of this method give the dirty rate over the time between
   * them.
   *
   * @return a snapshot of the counters
   */
  public DirtyCounters counters() {
    return collector.underLock(() -> DirtyCounters.of(collector, software, hostWriter));
  }

  /**
   * Waits until every store by a vCPU that was made before this call is visible here, and no vCPU
   * relies on dirty bits from before it: the after-sync barrier. Clients need not call it: {@code
   * take} does. A vCPU's thread may call it, and {@code take} too, at a point without a half-done
   * store: the call is a safepoint of that vCPU, and waits only for the others.
   *
   * @throws VcpuTimeoutException if a vCPU does not reach a safepoint in time
   * @throws VcpuException if it is called inside an arm callback
   */
  public void barrier() {
    collector.tracker().afterSync();
  }

  /**
   * Adds the tracker of a device that writes guest memory and keeps its own dirty log. Clients do
   * not hear of writes that the device made before this call.
   *
   * @param priority devices are called in ascending order, and stopped in descending order; those
   *     of the same priority in the order in which they were added
   * @param device the device's tracker
   * @return its registration; closing it removes the device
   * @throws IllegalArgumentException if the tracker is that of a device of this log already; once
   *     the registration is closed, until the device has left by the task of RCU
   * @throws IllegalStateException if the log is closed, or this is called by a device inside a call
   *     under the collector lock; and whatever {@link Tracker#startLog} throws, if there is a
   *     client. The device is not there then
   */
  public Registration addTracker(int priority, Tracker device) {
    Objects.requireNonNull(device, "device");
    return collector.devices().add(priority, device);
  }

  /**
   * Stops all vCPUs but the caller's own, each at a safepoint or offline, until the result is
   * closed. One pause at a time: a second caller waits for the first to end. Writers without a vCPU
   * go on.
   *
   * <p>The pause belongs to the calling thread, though any thread may close it. If that thread
   * ends, the pause ends too, and the error handler is told. A vCPU that has waited in it for
   * longer than the log's timeout tells the error handler, once, and goes on waiting.
   *
   * @return the pause; closing it lets the vCPUs run
   * @throws VcpuTimeoutException if a vCPU does not reach a safepoint, or another's pause does not
   *     end, in time; nothing is paused then
   * @throws VcpuException if this thread holds a pause already, or is in an arm callback; or if the
   *     log is closed, and another's pause is on
   */
  public VcpuPause pause() {
    VcpuPause pause = new VcpuPause(vcpus.pauses());
    try {
      pause.onClose(SlotSwap.stopVcpus(collector));
    } catch (Throwable e) {
      pause.close();
      throw e;
    }
    return pause;
  }

  /**
   * Declares the guest stopped for good. Pages are armed, every vCPU runs its arm callback before
   * it writes again, and every later mark is reported to the error handler as a {@link
   * SealedException}: once per page for vCPUs, each time for others. The pages are marked
   * nonetheless. Call it after the guest was stopped and before the last take.
   *
   * @throws VcpuTimeoutException if a vCPU does not reach a safepoint in time; not sealed then
   */
  public void seal() {
    VcpuPause pause = pause();
    try {
      collector.seal(seal);
    } finally {
      pause.close();
    }
  }

  /**
   * Undoes {@link #seal}: the guest runs on here after all. Sealing and unsealing lose no write.
   */
  public void unseal() {
    seal.set(false);
  }

  /** {@return whether the log is sealed} */
  public boolean isSealed() {
    return seal.isSealed();
  }

  /**
   * Closes all clients and devices, takes the slots from the tracker, and waits until every vCPU
   * has passed a safepoint and run its arm callback, or is offline. vCPUs may go on, and are no
   * longer tracked. A second call does it all again.
   *
   * <p>All waits end. A vCPU that waits for room in its ring or for its dirty limit runs on. A vCPU
   * that waits in a pause must not run before the pause is over, so it gets a {@link VcpuException}
   * and is offline. Tasks that no vCPU has run fail, now and later.
   *
   * @throws VcpuTimeoutException if a vCPU does not stop, or reach a safepoint, in time; the log is
   *     closed nonetheless, but the RAM of its slots may still be in use
   * @throws dev.smudge.sync.verify.UnreportedWriteException in the verify mode; it is closed
   */
  @Override
  public void close() {
    try {
      collector.verification().lastLook(null);
    } finally {
      vcpus.close(collector::close);
    }
  }
}
