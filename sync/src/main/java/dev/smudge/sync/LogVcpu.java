package dev.smudge.sync;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.Objects;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jctools.queues.varhandle.MpscLinkedVarHandleQueue;
import org.jspecify.annotations.Nullable;

/**
 * A vCPU of a {@link DirtyLog}: the handle through which one thread marks what it writes, and says
 * when it holds no half-done store.
 *
 * <p>A vCPU is <b>online</b> while its thread runs guest code: then it must call {@link #safepoint}
 * often, since barriers and pauses wait for it. It is <b>offline</b> before its first use, after
 * {@link #offline}, and while it waits in a pause: then nobody waits for it, and its thread must
 * not write guest memory. {@code safepoint} and {@code mark} bring an offline vCPU online; so code
 * that stores with raw pointers calls {@code safepoint} or {@code online} before its first store.
 *
 * <p>All methods but {@link #runOnVcpu}, {@link #close} and the getters are for the thread that
 * brought it online; a vCPU may be used by another thread after {@code offline}. Misuse by two
 * threads at once is found when it comes to the slow path, not at each mark. Source: design 3.2,
 * 3.3.
 */
@SuppressWarnings("ReferenceEquality") // threads are compared by identity
public final class LogVcpu implements AutoCloseable {
  static final int BARRIER = 1;
  static final int PAUSE = 2;
  static final int TASK = 4;
  static final int ATTACH = 8; // not online: the next safepoint has to bring it there
  static final int PRESSURE = 16; // its ring is soft full, or its dirty limit is due

  private static final long ONLINE = 1;
  private static final long OFFLINE = 0;

  // What the vCPU writes and collectors read stands alone, away from what collectors write
  // (pending).
  private static final int ACKNOWLEDGED = 16;
  private static final int STATE = 17;
  private static final int DIRTY_PAGES = 18;
  private static final int FULL_WAITS = 19;
  private static final int SHARED_LENGTH = 36;

  /** A shorter wait is put off. */
  private static final long MIN_LIMIT_WAIT_NANOS = 100_000;

  private static final VarHandle PENDING;
  private static final VarHandle OWNER;
  private static final VarHandle SHARED = MethodHandles.arrayElementVarHandle(long[].class);

  static {
    try {
      MethodHandles.Lookup lookup = MethodHandles.lookup();
      PENDING = lookup.findVarHandle(LogVcpu.class, "pending", int.class);
      OWNER = lookup.findVarHandle(LogVcpu.class, "owner", Thread.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private final DirtyLog log;
  private final VcpuGroup group;
  private final int index;
  private final Runnable armCallback;
  private final @Nullable VcpuRing ring;
  private final RingFullPolicy ringFullPolicy;
  private final DirtyLimit limit = new DirtyLimit();
  private final long[] shared = new long[SHARED_LENGTH];
  private final Queue<Task> tasks = new MpscLinkedVarHandleQueue<>();

  @SuppressWarnings("UnusedVariable") // through PENDING only
  private int pending = ATTACH;

  private volatile @Nullable Thread owner;
  private volatile boolean closed;
  private final AtomicBoolean deathReported = new AtomicBoolean();

  // The vCPU's thread only.
  private boolean running;
  private boolean inArmCallback;
  private boolean inSafepoint;
  private long seenArmEpoch;
  private @Nullable RcuReader reader; // its thread's, while it has one

  private record Task(Runnable body, CompletableFuture<@Nullable Void> done) {}

  LogVcpu(
      DirtyLog log,
      VcpuGroup group,
      int index,
      Runnable armCallback,
      @Nullable VcpuRing ring,
      RingFullPolicy ringFullPolicy) {
    this.log = log;
    this.group = group;
    this.index = index;
    this.armCallback = armCallback;
    this.ring = ring;
    this.ringFullPolicy = ringFullPolicy;
    this.seenArmEpoch = group.armEpoch();
  }

  /** {@return the vCPU's number: 0 for the first that was added to its log, then 1, and so on} */
  public int index() {
    return index;
  }

  /**
   * Marks what was just written. Call it after the store (design 3.2). Wait-free; allocates
   * nothing; no fence and no atomic where the pages are marked already.
   *
   * @param slot slot of this vCPU's log
   * @param byteOffset offset of the first byte (or unit) written
   * @param length bytes (or units) written; 0 marks nothing
   * @throws IllegalArgumentException if the slot is another log's, or was removed; nothing is
   *     marked. Found where the pages are not all marked already
   * @throws IndexOutOfBoundsException if the range is not inside the slot; nothing is marked
   * @throws VcpuException if the vCPU is closed or another thread's
   */
  public void mark(LogSlot slot, long byteOffset, long length) {
    if (!running || !slot.isMarked(byteOffset, length)) {
      markSlow(slot, byteOffset, length);
    }
  }

  /** Comes online first; if that throws, the store was made all the same. */
  private void markSlow(LogSlot slot, long byteOffset, long length) {
    if (running) {
      markClean(slot, byteOffset, length);
      return;
    }
    try {
      online();
    } catch (RuntimeException | Error e) {
      markForeign(slot, byteOffset, length);
      throw e;
    }
    markClean(slot, byteOffset, length);
  }

  /**
   * Marks what was written by a thread that may not use this vCPU's ring: in the bitmap that is for
   * everybody.
   */
  private long markForeign(LogSlot slot, long byteOffset, long length) {
    return ring == null ? slot.markLive(byteOffset, length) : slot.markHost(byteOffset, length);
  }

  /**
   * Marks what was just written, as {@link #mark(LogSlot, long, long)}.
   *
   * @param slotId slot
   * @param byteOffset offset of the first byte (or unit) written
   * @param length bytes (or units) written; 0 marks nothing
   * @throws IllegalArgumentException if there is no such slot; nothing is marked
   * @throws IndexOutOfBoundsException if the range is not inside the slot; nothing is marked
   * @throws VcpuException if the vCPU is closed or another thread's
   */
  public void mark(int slotId, long byteOffset, long length) {
    mark(log.slot(slotId), byteOffset, length);
  }

  private void markClean(LogSlot slot, long byteOffset, long length) {
    slot.checkTakesMarks(log);
    VcpuRing to = ring;
    if (to != null && owner == Thread.currentThread()) {
      long pages = slot.markLive(to, byteOffset, length);
      marked(slot, byteOffset, pages);
      if (pages != 0 && to.isSoftFull()) {
        press();
      }
      return;
    }
    long pages = markForeign(slot, byteOffset, length);
    if (pages != 0) {
      checkOwner();
      marked(slot, byteOffset, pages);
    }
  }

  /** Pages went from clean to dirty. */
  private void marked(LogSlot slot, long byteOffset, long pages) {
    if (pages == 0) {
      return;
    }
    count(DIRTY_PAGES, pages);
    if (limit.add(pages << slot.pageShift())) {
      press();
    }
    log.reportIfSealed(slot, byteOffset);
  }

  private void count(int counter, long more) {
    // ORDER S13 opaque: a count. Pairs with the opaque load in counted. If weaker: torn.
    SHARED.setOpaque(shared, counter, shared[counter] + more);
  }

  /** The next safepoint has to see to the ring or the limit. */
  private void press() {
    if (((int) PENDING.getOpaque(this) & PRESSURE) == 0) {
      request(PRESSURE);
    }
  }

  /**
   * Says that every store before this is marked, and does what was asked of this vCPU meanwhile:
   * acknowledges barriers (and before it runs the arm callback, if pages were armed), runs tasks,
   * waits out a pause. Call it at the end of every translation block or loop back-edge. A guest
   * whose only hook is its memory interface calls it at the entry of its stores and of its loads:
   * there every earlier store is complete.
   *
   * <p>With nothing asked it is one load and one branch. Allocates nothing. Brings an offline vCPU
   * online.
   *
   * @throws VcpuException if the vCPU is closed or another thread's
   */
  public void safepoint() {
    // ORDER S2 acquire: a poll. Pairs with the OR in request. If weaker (plain): the compiler
    // hoists it out of the guest's loop. Opaque would do: what is acknowledged is read in
    // acknowledge, and that load, being volatile, comes before the next live bit is read.
    if ((int) PENDING.getAcquire(this) != 0) {
      safepointSlow();
    }
  }

  private void safepointSlow() {
    if (!running) {
      online();
      return;
    }
    checkOwner();
    if (inSafepoint || inArmCallback) {
      return; // from a task or the arm callback: the outer safepoint does it
    }
    inSafepoint = true;
    try {
      // Atomic: what is asked after this is seen at the next turn or the next safepoint.
      for (int asked = takePending(); asked != 0; asked = takePending()) {
        runTasks();
        if (!isMine()) {
          return; // a task took it offline, or closed it: another thread may have it by now
        }
        acknowledge();
        if (group.isPausedFor(this)) {
          setState(OFFLINE);
          becomeOnline();
        }
        if ((asked & PRESSURE) != 0) {
          relieve();
          if (!isMine()) {
            return; // so may the policy
          }
        }
      }
    } finally {
      inSafepoint = false;
    }
  }

  /** Back-pressure: here this vCPU waits, or does what it is told to, and never in a block. */
  private void relieve() {
    if (ring != null && ring.isSoftFull()) {
      ringFullPolicy.ringFull(this);
      if (!isMine()) {
        return;
      }
    }
    if (limit.pay(System.nanoTime()) >= MIN_LIMIT_WAIT_NANOS) {
      setState(OFFLINE);
      try {
        group.awaitPaid(limit);
      } finally {
        becomeOnline();
      }
    }
  }

  /** {@link RingFullPolicy#WAIT}. */
  void awaitReset() {
    VcpuRing full = ring;
    checkOwner();
    checkNotInArmCallback("a wait for room in the ring");
    if (full == null || !group.isWaitedForRoom(full)) {
      return;
    }
    count(FULL_WAITS, 1);
    setState(OFFLINE);
    try {
      boolean room = group.awaitRoom(full);
      if (!room) {
        group.errorHandler.onError(waitsForRoom(full));
      }
      while (!room && isMine()) {
        setState(OFFLINE); // the handler may have waited for others, and come back from that
        room = group.awaitRoom(full);
      }
    } finally {
      returnFromWait();
    }
  }

  /** Whether this thread has it still, after code of the embedder's that may have given it away. */
  private boolean isMine() {
    return owner == Thread.currentThread();
  }

  private int takePending() {
    if ((int) PENDING.getOpaque(this) == 0) {
      return 0;
    }
    return (int) PENDING.getAndSet(this, 0);
  }

  /** Acknowledges every request made so far. Here every earlier store of this vCPU is marked. */
  private void acknowledge() {
    // S2: the request; read before the arm epoch and before any later live bit.
    long request = group.requested();
    // S3: armed pages whose clears are visible from here on.
    long epoch = group.armEpoch();
    if (epoch != seenArmEpoch) {
      inArmCallback = true;
      boolean ran = false;
      try {
        armCallback.run();
        ran = true;
      } finally {
        inArmCallback = false;
        if (!ran) {
          request(BARRIER); // not acknowledged: the next safepoint tries again
        }
      }
      seenArmEpoch = epoch;
    }
    // A mark by another vCPU on which this one relied is visible before the acknowledgement.
    VarHandle.acquireFence();
    if (reader != null) {
      reader.publishIfInside(); // U4
    }
    // ORDER S2 release: every store and mark of this vCPU comes before the acknowledgement. Pairs
    // with the acquire in hasAcknowledged. If weaker: the collector reads RAM before the last
    // store.
    SHARED.setRelease(shared, ACKNOWLEDGED, request);
  }

  private void runTasks() {
    for (Task task = nextTask(); task != null; task = nextTask()) {
      run(task);
    }
  }

  private static void run(Task task) {
    try {
      task.body.run();
      task.done.complete(null);
    } catch (Throwable e) {
      task.done.completeExceptionally(e);
    }
  }

  /** One consumer at a time: the vCPU's thread, or whoever fails what is left. */
  private synchronized @Nullable Task nextTask() {
    return tasks.poll();
  }

  /**
   * Brings the vCPU online for the calling thread: from here on barriers wait for its safepoints.
   * Waits while a pause is on. Runs the arm callback if pages were armed meanwhile. Does nothing if
   * it is online already.
   *
   * @throws VcpuException if the vCPU is closed, or online in another thread, or if this thread
   *     itself holds a pause that stops the vCPU
   */
  public void online() {
    if (running) {
      checkOwner();
      return;
    }
    if (closed) {
      throw isClosed();
    }
    Thread thread = Thread.currentThread();
    LogVcpu other = group.self();
    if (other != null) {
      throw new VcpuException(
          thread + " runs vCPU " + other.index + " already, and cannot run vCPU " + index + " too");
    }
    group.checkHoldsNoPause(this);
    RcuReader own = log.rcu().readers().own();
    // ORDER S8 volatile: the vCPU has one owner, and comes with all that the last one did with it.
    // Pairs with owner = null in offline and with the exchange in close. If weaker: it is online
    // and closed, and no barrier waits for it; or the new owner sees an arm epoch that it never
    // saw.
    Thread before = (Thread) OWNER.compareAndExchange(this, null, thread);
    if (before != null) {
      throw new VcpuException(
          "vCPU " + index + " is used by " + thread + " while it is online in " + before);
    }
    if (closed) { // by another thread, since the look above
      owner = null;
      throw isClosed();
    }
    running = true;
    reader = own;
    PENDING.getAndBitwiseAnd(this, ~ATTACH);
    becomeOnline();
    runTasks();
  }

  /**
   * Takes the vCPU offline: barriers and pauses no longer wait for it. Call it around whatever may
   * block: host calls, waits, idle loops. The caller holds no half-done store and stores nothing
   * until {@link #online}. Does nothing if it is offline already.
   *
   * @throws VcpuException if it is online in another thread, or this is its arm callback
   */
  public void offline() {
    if (!running) {
      return;
    }
    checkOwner();
    checkNotInArmCallback("going offline");
    running = false;
    PENDING.getAndBitwiseOr(this, ATTACH);
    setState(OFFLINE);
    reader = null;
    owner = null; // S8
  }

  private void setState(long state) {
    if (state == OFFLINE && reader != null) {
      reader.offline(); // U4
    }
    // A mark by another vCPU on which this one relied is visible to whoever sees the state.
    VarHandle.acquireFence();
    // ORDER S4 release (offline): every store and mark of this vCPU comes before. Pairs with the
    // load in isOffline. If weaker: the collector does not wait, and misses the last stores.
    SHARED.setRelease(shared, STATE, state);
  }

  /** State ONLINE, when no pause forbids it, with everything acknowledged. */
  private void becomeOnline() {
    for (; ; ) {
      setState(ONLINE);
      // ORDER S5 full fence: store the state, then load requests, pauses and live bits. Pairs with
      // the full fence of S1 (clear bits, then load the state) and S6. If weaker: the collector
      // sees OFFLINE and does not wait, and this vCPU sees live bits from before the clear.
      VarHandle.fullFence();
      if (!group.isPausedFor(this)) {
        break;
      }
      setState(OFFLINE);
      group.awaitResume(this);
    }
    if (reader != null) {
      reader.online();
    }
    acknowledge();
  }

  /** The vCPU itself asks for a barrier or a pause: while it waits it is offline to all others. */
  void leaveToWait(String what) {
    checkNotInArmCallback(what);
    setState(OFFLINE);
  }

  void returnFromWait() {
    if (isMine()) {
      becomeOnline();
    }
  }

  /** For the vCPU's thread. */
  boolean isInArmCallback() {
    return inArmCallback;
  }

  void checkNotInArmCallback(String what) {
    if (inArmCallback) {
      throw new VcpuException(
          what
              + " inside the arm callback of vCPU "
              + index
              + " would wait for itself: do it after the safepoint has returned");
    }
  }

  /**
   * Limits how much this vCPU makes dirty, by having it wait at its safepoints, offline. What
   * counts is what {@link #dirtyPages} counts, so a limit needs a client that takes, or a ring that
   * is reaped. Over a second or more the limit is kept; a block of the guest's is never cut short.
   * From any thread, at any time; a wait that is under way ends sooner when the limit is raised,
   * and at once when the last client is closed, or the thread is interrupted.
   *
   * @param bytesPerSecond pages times their size (in the embedder's units, where a slot is in
   *     those), more than 0; {@code Long.MAX_VALUE}: no limit
   * @throws IllegalArgumentException if it is not more than 0; nothing is changed
   */
  public void limitDirtyRate(long bytesPerSecond) {
    if (bytesPerSecond <= 0) {
      throw new IllegalArgumentException(
          "a dirty limit of "
              + bytesPerSecond
              + " bytes a second: it has to be more than 0 (Long.MAX_VALUE: no limit)");
    }
    limit.set(bytesPerSecond);
    group.wake();
  }

  /**
   * Returns how many pages this vCPU has made dirty so far: changed from clean to dirty. From any
   * thread.
   *
   * @return pages; each counts again when it has been armed
   */
  public long dirtyPages() {
    return counted(DIRTY_PAGES);
  }

  long ringFullWaits() {
    return counted(FULL_WAITS);
  }

  private long counted(int counter) {
    // S13.
    return (long) SHARED.getOpaque(shared, counter);
  }

  @Nullable VcpuRing ring() {
    return ring;
  }

  /**
   * Has the vCPU's thread run a task, at its next safepoint, where it holds no half-done store.
   * Called by that thread itself, it runs the task at once. A vCPU that is offline or paused runs
   * it when it goes on. From any thread; does not wait.
   *
   * @param task what to run
   * @return done when the task has run; with the task's exception if it threw, with {@link
   *     VcpuException} if the vCPU was closed or died before
   */
  public CompletableFuture<@Nullable Void> runOnVcpu(Runnable task) {
    Task queued = new Task(Objects.requireNonNull(task, "task"), new CompletableFuture<>());
    if (owner == Thread.currentThread()) {
      run(queued); // this one alone: the others' wait for a safepoint
      return queued.done;
    }
    tasks.offer(queued);
    request(TASK);
    if (closed || isDead()) {
      failTasks();
    }
    return queued.done;
  }

  private void failTasks() {
    for (Task task = nextTask(); task != null; task = nextTask()) {
      task.done.completeExceptionally(
          new VcpuException(
              "vCPU " + index + " was closed, or its thread died, before the task ran"));
    }
  }

  /**
   * Takes the vCPU out of its log. Tasks that have not run fail. From its own thread, or from any
   * thread while it is offline or its thread is dead. A second call does nothing.
   *
   * @throws VcpuException if it is online in another, living thread; it stays as it is
   */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    if (owner == Thread.currentThread()) {
      offline();
    }
    // S8: taken as by online, so that no other thread comes online while this one closes.
    Thread before = (Thread) OWNER.compareAndExchange(this, null, Thread.currentThread());
    if (before != null && before.isAlive()) {
      throw new VcpuException(
          "vCPU "
              + index
              + " is online in "
              + before
              + "; that thread has to close it, or take it"
              + " offline first");
    }
    if (before != null && owner != before) {
      close(); // it went offline meanwhile, and then ended
      return;
    }
    try {
      log.remove(this);
      closed = true;
    } finally {
      if (before == null) {
        owner = null;
      }
    }
    failTasks();
  }

  private VcpuException isClosed() {
    return new VcpuException("vCPU " + index + " is closed");
  }

  private void checkOwner() {
    Thread thread = owner;
    if (thread != Thread.currentThread()) {
      throw new VcpuException(
          "vCPU "
              + index
              + " is used by "
              + Thread.currentThread()
              + " while it is online in "
              + thread);
    }
  }

  // What collectors see.

  @Nullable Thread owner() {
    return owner;
  }

  void request(int what) {
    // ORDER S2 volatile: after the number in REQUESTED. Pairs with the acquire in safepoint. If
    // weaker: the vCPU takes the flag away, reads the old number, and never looks again.
    PENDING.getAndBitwiseOr(this, what);
  }

  boolean hasAcknowledged(long request) {
    // S2 acquire: see acknowledge.
    return (long) SHARED.getAcquire(shared, ACKNOWLEDGED) >= request;
  }

  boolean isOffline() {
    // S4, S5 volatile: see setState and becomeOnline.
    return (long) SHARED.getVolatile(shared, STATE) == OFFLINE;
  }

  /** Whether the vCPU's thread ended while online; reported once. All it wrote is visible then. */
  boolean isDead() {
    Thread thread = owner;
    if (thread == null || thread.isAlive() || owner != thread) {
      return false; // the last: it went offline, and then ended
    }
    if (deathReported.compareAndSet(false, true)) {
      group.errorHandler.onError(
          new VcpuException(
              "vCPU "
                  + index
                  + ": "
                  + thread
                  + " ended while online; it counts as offline now, and"
                  + " should have called close()"));
      failTasks();
    }
    return true;
  }

  VcpuTimeoutException timeout(String what, long nanos) {
    return new VcpuTimeoutException(lateness(what, nanos), stackOf(owner));
  }

  String lateness(String what, long nanos) {
    return "vCPU "
        + index
        + " ("
        + owner
        + ") did not "
        + what
        + " within "
        + nanos / 1_000_000
        + " ms: it has to call safepoint(), or offline() around what blocks it; its stack is the"
        + " cause";
  }

  private VcpuException waitsForRoom(VcpuRing full) {
    return new VcpuException(
        "vCPU "
            + index
            + " ("
            + Thread.currentThread()
            + ") has waited "
            + group.timeoutMillis()
            + " ms for a reset of its "
            + full
            + ": a client has to take, or a reaper to run (DirtyLog.reaper), or the policy has to be"
            + " another than RingFullPolicy.WAIT");
  }

  static Throwable stackOf(@Nullable Thread thread) {
    Throwable stack = new Throwable("stack of " + thread);
    stack.setStackTrace(thread == null ? new StackTraceElement[0] : thread.getStackTrace());
    return stack;
  }

  @Override
  public String toString() {
    return "LogVcpu["
        + index
        + ", "
        + (closed ? "closed" : isOffline() ? "offline" : "online in " + owner)
        + "]";
  }
}
