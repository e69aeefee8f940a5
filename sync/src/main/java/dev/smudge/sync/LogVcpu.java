package dev.smudge.sync;

import dev.smudge.bitmap.ArmableBitmap;
import dev.smudge.sync.error.VcpuException;
import dev.smudge.sync.internal.collect.Collector;
import dev.smudge.sync.internal.collect.HostWriter;
import dev.smudge.sync.internal.collect.Seal;
import dev.smudge.sync.internal.software.SoftwareTracker;
import dev.smudge.sync.internal.software.VcpuMarker;
import dev.smudge.sync.internal.software.VcpuMarks;
import dev.smudge.sync.internal.vcpu.VcpuState;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * A vCPU of a {@link DirtyLog}: the handle through which one thread marks the pages that it writes,
 * and says when it has no half-done store.
 *
 * <p>A vCPU is <b>online</b> while its thread runs guest code. It must then call {@link #safepoint}
 * often, because barriers and pauses wait for it. It is <b>offline</b> before its first use, after
 * {@link #offline}, and while it waits in a pause. Then nobody waits for it, and its thread must
 * not write guest memory. {@code safepoint} and {@code mark} bring an offline vCPU online, so code
 * that stores with raw pointers calls {@code safepoint} or {@code online} before its first store.
 *
 * <p>{@link #runOnVcpu}, {@link #limitDirtyRate}, {@link #isOnlineHere}, {@link #close} and the
 * getters may be called from any thread; all other methods only by the thread that brought the vCPU
 * online. Use by two threads at once is detected on the slow path, not at each mark.
 *
 * <p><b>Handing over.</b> After {@code offline} another thread may use the vCPU. If {@code offline}
 * is called in a task or in a {@link RingFullPolicy}, the call that ran the task or policy does
 * nothing more for the vCPU. A thread checks with {@code isOnlineHere} whether the vCPU is still
 * its own.
 *
 * <p><b>One thread, several harts.</b> A thread is online as one vCPU of a log at a time, and may
 * run several in turn: {@code a.offline(); b.online();}. The switch costs a few atomic operations,
 * takes no lock and waits for no thread, with two exceptions: {@code online} waits while a pause is
 * on, and runs the arm callback if pages were armed since it last ran.
 *
 * <p>Source: docs/design.md 3.2 and 3.3.
 */
public final class LogVcpu implements AutoCloseable {
  private final Collector collector;
  private final @Nullable SoftwareTracker tracker; // null: it finds writes without marks
  private final VcpuState state;
  private final VcpuMarker marker;
  private final HostWriter hostWriter;

  LogVcpu(
      Collector collector,
      @Nullable SoftwareTracker tracker,
      int index,
      Runnable armCallback,
      RingFullPolicy policy,
      HostWriter hostWriter,
      Seal seal) {
    this.collector = collector;
    this.tracker = tracker;
    this.hostWriter = hostWriter;
    VcpuMarks marks = tracker == null ? VcpuMarks.NONE : tracker.newMarks();
    this.state =
        new VcpuState(
            collector.vcpus(), index, this, armCallback, marks.ring(), () -> policy.ringFull(this));
    this.marker = new VcpuMarker(state, marks, seal);
  }

  VcpuState state() {
    return state;
  }

  VcpuMarks marks() {
    return marker.marks();
  }

  /** {@return the vCPU's number: 0 for the first that was added to its log, then 1, and so on} */
  public int index() {
    return state.index();
  }

  /**
   * Marks the pages of a store. Call it after the store. Wait-free; allocates nothing; no fence and
   * no atomic operation if the pages are marked already. If the tracker finds writes without marks,
   * this does nothing. An emulator with a write TLB enters the page afterwards only if {@link
   * LogSlot#isMarked} is true: it is false while a write watch holds the page.
   *
   * @param slot slot of this vCPU's log
   * @param byteOffset offset of the first byte (or unit) written
   * @param length bytes (or units) written; 0 marks nothing
   * @throws IllegalArgumentException if the slot is another log's, or was removed; nothing is
   *     marked. Found where the pages are not all marked already
   * @throws IndexOutOfBoundsException if the range is not inside the slot; nothing is marked
   * @throws VcpuException if the vCPU is closed or another thread's; the pages are marked then, as
   *     a write by a thread without a vCPU
   */
  public void mark(LogSlot slot, long byteOffset, long length) {
    if ((!state.isRunning() || !slot.isMarked(byteOffset, length))
        && markSlowly(slot, byteOffset, length)) {
      slot.slot.watches().tell(byteOffset, length);
    }
  }

  /** As {@link #mark}, before the store; returns whether watches are to be told after it. */
  boolean markBefore(LogSlot slot, long byteOffset, long length) {
    return (!state.isRunning() || !slot.isMarked(byteOffset, length))
        && markSlowly(slot, byteOffset, length);
  }

  private boolean markSlowly(LogSlot slot, long byteOffset, long length) {
    try {
      state.online(); // also looks whose it is
    } catch (Throwable e) {
      markForeign(slot, byteOffset, length, e);
      throw e;
    }
    slot.slot.checkTakesMarks(collector.slots()); // volatile: what a mark needs is there after it
    ArmableBitmap live = slot.live;
    return live != null && marker.mark(slot.slot, live, byteOffset, length);
  }

  /** The store was made all the same, by a thread on whose marks no vCPU may rely. */
  private void markForeign(LogSlot slot, long byteOffset, long length, Throwable why) {
    try {
      if (hostWriter.mark(slot.slot, byteOffset, length)) {
        slot.slot.watches().tell(byteOffset, length);
      }
    } catch (Throwable e) {
      if (!e.equals(why)) { // the JVM throws one OutOfMemoryError several times
        why.addSuppressed(e);
      }
    }
  }

  /**
   * Declares that every earlier store is complete and marked, and answers pending requests to this
   * vCPU: runs the arm callback if pages were armed, acknowledges barriers, runs tasks, waits out a
   * pause. Call it at the end of every translation block or loop back-edge. If the memory interface
   * is the guest's only hook, call it at the entry of stores and of loads: there every earlier
   * store is complete.
   *
   * <p>With no request pending it is one load and one branch. Allocates nothing. Brings an offline
   * vCPU online. The vCPU is online in this thread when it returns, unless a task or a {@link
   * RingFullPolicy} has taken it offline, closed it or handed it over. If you run such tasks, and
   * store with raw pointers, check {@link #isOnlineHere}.
   *
   * @throws VcpuException if the vCPU is closed or another thread's, or if the log is closed while
   *     it waits in a pause: the arm callback has run then, and the vCPU is offline
   */
  public void safepoint() {
    if (state.isAsked()) {
      state.safepoint();
    }
  }

  /**
   * Brings the vCPU online for the calling thread: from here on barriers wait for its safepoints.
   * Waits while a pause is on; an interrupt does not end that wait, and is kept. Runs the arm
   * callback if pages were armed meanwhile, then the tasks that were sent. Does nothing if it is
   * online already.
   *
   * <p>When this returns, the vCPU is online in this thread. If a task takes it offline, it comes
   * online again; if one closes it or hands it over, this throws. If the arm callback throws, that
   * comes out; the vCPU is online then, and its next safepoint runs the callback again. After an
   * {@link Error}, {@link #isOnlineHere} says whether it is online.
   *
   * @throws VcpuException if the vCPU is closed, or online in another thread; if this thread is
   *     online as another vCPU of the log, which it has to take offline first; or if this thread
   *     itself holds a pause that stops the vCPU. The vCPU stays as it is. Also if the log is
   *     closed, and a pause is still on: the vCPU is offline then
   */
  public void online() {
    state.online();
  }

  /**
   * Returns whether the calling thread is online as this vCPU. From any thread; one volatile load.
   *
   * @return false also while this thread waits, as this vCPU, for others: in a pause, for a barrier
   *     of its own, for room in its ring, for its dirty limit
   */
  public boolean isOnlineHere() {
    return state.isOnlineHere();
  }

  /**
   * Takes the vCPU offline: barriers and pauses no longer wait for it. Call it before anything that
   * may block: host calls, waits, idle loops. The caller must have no half-done store, and must not
   * store until {@link #online}. Does nothing if the vCPU is offline already.
   *
   * @throws VcpuException if it is online in another thread, or this is its arm callback; it stays
   *     as it is
   */
  public void offline() {
    state.offline();
  }

  /**
   * Limits how fast this vCPU makes pages dirty: it waits, offline, at its safepoints. The limit
   * applies to the pages that {@link DirtyCounters#vcpuPages} counts, so it needs a client that
   * takes, or a ring that is reaped. It is kept over a second or more, and never interrupts a block
   * of the guest. From any thread, at any time. A wait ends sooner if the limit is raised, and at
   * once if the last client is closed or the thread is interrupted.
   *
   * @param bytesPerSecond pages times their size, in the units of the slot, per second; more than
   *     0; {@code Long.MAX_VALUE}: no limit
   * @throws IllegalArgumentException if it is not more than 0; nothing is changed
   */
  public void limitDirtyRate(long bytesPerSecond) {
    state.pressure().limitDirtyRate(bytesPerSecond);
  }

  /** {@link RingFullPolicy#WAIT}. */
  void awaitRoom() {
    state.pressure().ringFullWait().awaitRoom();
  }

  /**
   * Makes the vCPU's thread run a task at its next safepoint, where it has no half-done store. If
   * that thread itself calls this, it runs the task at once. A vCPU that is offline or paused runs
   * the task when it goes on. The task may take the vCPU offline, close it, or hand it to another
   * thread; the thread that brings it online next then runs the remaining tasks. From any thread;
   * does not wait.
   *
   * @param task what to run
   * @return done when the task has run; with the task's exception if it threw, with {@link
   *     VcpuException} if the vCPU or its log was closed, or its thread died, before; or if 65,536
   *     tasks wait already, for a vCPU that does not run
   */
  public CompletableFuture<@Nullable Void> runOnVcpu(Runnable task) {
    return state.tasks().submit(Objects.requireNonNull(task, "task"));
  }

  /**
   * Takes the vCPU out of its log. Tasks that have not run fail. From its own thread, or from any
   * thread while it is offline or its thread is dead. A second call does nothing.
   *
   * @throws VcpuException if it is online in another, living thread; it stays as it is
   * @throws RuntimeException what the tracker throws that is to tell what the vCPU's ring holds:
   *     the vCPU is offline then, nothing is lost, and another call tries again
   */
  @Override
  public void close() {
    state.close(() -> collector.leave(this::leave));
  }

  /** Under the collector lock; again, if an error has cut it short. */
  private void leave() {
    state.shut(); // first: what has begun to leave does not come back
    if (collector.vcpus().remove(state)) { // not if two threads close one that is dead
      collector.counters().addClosed(state.pressure().counters());
    }
    if (tracker != null) {
      tracker.drop(marker.marks());
    }
  }

  @Override
  public String toString() {
    return state.toString();
  }
}
