package dev.smudge.sync.internal.vcpu;

import dev.smudge.sync.rcu.RcuReader;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/**
 * The state of one vCPU in the handshake: offline, or online in one thread, which answers requests
 * at its safepoints.
 *
 * <pre>
 *             online()                      safepoint(): tasks, acknowledge, pause, back-pressure
 *   OFFLINE ───────────▶ ONLINE in a thread ──┐
 *      ▲                   │   │      ▲       │
 *      └──── offline() ────┘   │      └───────┘
 *      ▲                       ▼
 *      └── close()       waits, offline to all others: a pause, a barrier of its own, room, limit
 * </pre>
 *
 * <p>All methods but those under "What other threads call" are for the thread that brought it
 * online. Misuse by two threads at once is found on slow paths. Source: docs/design.md 3.3.
 */
@SuppressWarnings("ReferenceEquality") // threads are compared by identity
public final class VcpuState {
  static final int BARRIER = 1;
  static final int PAUSE = 2;
  private static final int TASK = 4;
  private static final int ATTACH = 8; // not online: the next safepoint has to bring it there
  private static final int PRESSURE = 16; // its ring is soft full, or its dirty limit is due

  private static final long ONLINE = 1;
  private static final long OFFLINE = 0;

  // What the vCPU writes and collectors read stands alone, away from what collectors write
  // (pending).
  private static final int ACKNOWLEDGED = 16;
  private static final int STATE = 17;
  private static final int SHARED_LENGTH = 34;

  private static final VarHandle PENDING;
  private static final VarHandle OWNER;
  private static final VarHandle SHARED = MethodHandles.arrayElementVarHandle(long[].class);

  static {
    try {
      MethodHandles.Lookup lookup = MethodHandles.lookup();
      PENDING = lookup.findVarHandle(VcpuState.class, "pending", int.class);
      OWNER = lookup.findVarHandle(VcpuState.class, "owner", Thread.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private final VcpuGroup group;
  private final int index;
  private final Runnable armCallback;
  private final VcpuPressure pressure;
  private final VcpuTasks tasks = new VcpuTasks();
  private final long[] shared = new long[SHARED_LENGTH];

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

  /**
   * Makes a vCPU that is offline. {@code armCallback} drops what lets it write without a mark,
   * after pages were armed; {@code ringFull} runs at a safepoint when its ring, if it has one, is
   * soft full.
   */
  @SuppressWarnings("this-escape") // to its own part
  public VcpuState(
      VcpuGroup group,
      int index,
      Runnable armCallback,
      @Nullable RingRoom ring,
      Runnable ringFull) {
    this.group = group;
    this.index = index;
    this.armCallback = armCallback;
    this.pressure = new VcpuPressure(group, this, ring, ringFull);
    this.seenArmEpoch = group.handshake().armEpoch();
  }

  /** {@return its number} */
  public int index() {
    return index;
  }

  /** {@return what it made dirty, and where it waits for that} */
  public VcpuPressure pressure() {
    return pressure;
  }

  /** {@return whether its thread has it online; to be asked by that thread} */
  public boolean isRunning() {
    return running;
  }

  /** {@return whether the calling thread has it online} */
  public boolean isMine() {
    return owner == Thread.currentThread();
  }

  /** {@return whether something was asked of it; one load} */
  public boolean isAsked() {
    // ORDER S2 acquire: a poll. Pairs with the OR in request. If weaker (plain): the compiler
    // hoists it out of the guest's loop. Opaque would do: what is acknowledged is read in
    // acknowledge, and that load, being volatile, comes before the next live bit is read.
    return (int) PENDING.getAcquire(this) != 0;
  }

  /** Does what was asked of it; comes online first if it is not. */
  public void safepoint() {
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
        tasks.runAll();
        if (!isMine()) {
          return; // a task took it offline, or closed it: another thread may have it by now
        }
        acknowledge();
        if (group.pauses().isPausedFor(this)) {
          setState(OFFLINE);
          becomeOnline();
        }
        if ((asked & PRESSURE) != 0) {
          pressure.relieve();
          if (!isMine()) {
            return; // so may the policy
          }
        }
      }
    } finally {
      inSafepoint = false;
    }
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
    long request = group.handshake().requested();
    // S3: armed pages whose clears are visible from here on.
    long epoch = group.handshake().armEpoch();
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
      reader.quiescent(); // U4
    }
    // ORDER S2 release: every store and mark of this vCPU comes before the acknowledgement. Pairs
    // with the acquire in hasAcknowledged. If weaker: the collector reads RAM before the last
    // store.
    SHARED.setRelease(shared, ACKNOWLEDGED, request);
  }

  /** Brings it online for the calling thread. Waits while a pause is on. Then runs its tasks. */
  public void online() {
    if (running) {
      checkOwner();
      return;
    }
    if (closed) {
      throw isClosed();
    }
    Thread thread = Thread.currentThread();
    VcpuState other = group.self();
    if (other != null) {
      throw misuse(
          thread + " runs vCPU " + other.index + " already, and cannot run vCPU " + index + " too");
    }
    group.pauses().checkHoldsNone(this);
    RcuReader own = group.reader();
    // ORDER S8 volatile: the vCPU has one owner, and comes with all that the last one did with it.
    // Pairs with owner = null in offline and with the exchange in close. If weaker: it is online
    // and closed, and no barrier waits for it; or the new owner sees an arm epoch that it never
    // saw.
    Thread before = (Thread) OWNER.compareAndExchange(this, null, thread);
    if (before != null) {
      throw usedBy(thread, before);
    }
    if (closed) { // by another thread, since the look above
      owner = null;
      throw isClosed();
    }
    running = true;
    reader = own;
    PENDING.getAndBitwiseAnd(this, ~ATTACH);
    becomeOnline();
    tasks.runAll();
  }

  /** Takes it offline, where its thread holds no half-done store. */
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
      if (!group.pauses().isPausedFor(this)) {
        break;
      }
      setState(OFFLINE);
      group.pauses().awaitResume(this);
    }
    if (reader != null) {
      reader.online();
    }
    acknowledge();
  }

  /**
   * The vCPU itself is about to wait for others: while it waits it is offline to all of them.
   *
   * @param what what it waits for, for messages
   */
  public void leaveToWait(String what) {
    checkNotInArmCallback(what);
    setAside();
  }

  /** As {@link #leaveToWait}, in a safepoint. */
  void setAside() {
    setState(OFFLINE);
  }

  /** The wait is over. */
  public void returnFromWait() {
    if (isMine()) {
      becomeOnline();
    }
  }

  boolean isInArmCallback() {
    return inArmCallback;
  }

  void checkNotInArmCallback(String what) {
    if (inArmCallback) {
      throw misuse(
          what
              + " inside the arm callback of vCPU "
              + index
              + " would wait for itself: do it after the safepoint has returned");
    }
  }

  /** Refuses another thread than the one that has it online. */
  public void checkOwner() {
    Thread thread = owner;
    if (thread != Thread.currentThread()) {
      throw usedBy(Thread.currentThread(), thread);
    }
  }

  /** The next safepoint has to see to the ring or the limit. By its own thread. */
  void press() {
    if (((int) PENDING.getOpaque(this) & PRESSURE) == 0) {
      request(PRESSURE);
    }
  }

  // What other threads call.

  /**
   * Has its thread run a task at its next safepoint, or at once if that is the caller.
   *
   * @param task what to run
   * @return done when it has run
   */
  public CompletableFuture<@Nullable Void> runOnVcpu(Runnable task) {
    if (owner == Thread.currentThread()) {
      return VcpuTasks.runNow(task);
    }
    CompletableFuture<@Nullable Void> done = tasks.add(task);
    request(TASK);
    if (closed || isDead()) {
      failTasks();
    }
    return done;
  }

  private void failTasks() {
    tasks.failAll(misuse("vCPU " + index + " was closed, or its thread died, before the task ran"));
  }

  /**
   * Closes it for good: by its own thread, or by any while it is offline or its thread is dead.
   *
   * @param leave takes it out of the log, while no thread can bring it online
   */
  public void close(Runnable leave) {
    if (closed) {
      return;
    }
    if (owner == Thread.currentThread()) {
      offline();
    }
    // S8: taken as by online, so that no other thread comes online while this one closes.
    Thread before = (Thread) OWNER.compareAndExchange(this, null, Thread.currentThread());
    if (before != null && before.isAlive()) {
      throw misuse(
          "vCPU "
              + index
              + " is online in "
              + before
              + "; that thread has to close it, or take it offline first");
    }
    if (before != null && owner != before) {
      close(leave); // it went offline meanwhile, and then ended
      return;
    }
    try {
      leave.run();
      closed = true;
    } finally {
      if (before == null) {
        owner = null;
      }
    }
    failTasks();
  }

  RuntimeException misuse(String message) {
    return group.errors().misuse(message);
  }

  private RuntimeException usedBy(Thread thread, @Nullable Thread other) {
    return misuse("vCPU " + index + " is used by " + thread + " while it is online in " + other);
  }

  private RuntimeException isClosed() {
    return misuse("vCPU " + index + " is closed");
  }

  /** {@return the thread that has it online; null if it is offline} */
  public @Nullable Thread owner() {
    return owner;
  }

  void request(int what) {
    // ORDER S2 volatile: after the number in REQUESTED. Pairs with the acquire in isAsked. If
    // weaker: the vCPU takes the flag away, reads the old number, and never looks again.
    PENDING.getAndBitwiseOr(this, what);
  }

  boolean hasAcknowledged(long request) {
    // S2 acquire: see acknowledge.
    return (long) SHARED.getAcquire(shared, ACKNOWLEDGED) >= request;
  }

  /** {@return whether nobody waits for it} */
  public boolean isOffline() {
    // S4, S5 volatile: see setState and becomeOnline.
    return (long) SHARED.getVolatile(shared, STATE) == OFFLINE;
  }

  /**
   * {@return whether its thread ended while online; reported once; all it wrote is visible then}
   */
  public boolean isDead() {
    Thread thread = owner;
    if (thread == null || thread.isAlive() || owner != thread) {
      return false; // the last: it went offline, and then ended
    }
    if (deathReported.compareAndSet(false, true)) {
      String who = "vCPU " + index + ": " + thread;
      RuntimeException dead =
          misuse(who + " ended while online; it counts as offline now, and should have closed it");
      group.errorHandler().onError(dead);
      failTasks();
    }
    return true;
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
