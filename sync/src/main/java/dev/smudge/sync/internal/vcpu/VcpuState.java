package dev.smudge.sync.internal.vcpu;

import dev.smudge.sync.error.VcpuException;
import dev.smudge.sync.rcu.RcuReader;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
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
  static final int TASK = 4;
  private static final int ATTACH = 8; // not online: the next safepoint has to bring it there
  private static final int PRESSURE = 16; // its ring is soft full, or its dirty limit is due

  private static final VarHandle PENDING;

  static {
    try {
      PENDING = MethodHandles.lookup().findVarHandle(VcpuState.class, "pending", int.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private final VcpuGroup group;
  private final int index;
  private final Object identity;
  private final VcpuHooks hooks;
  private final VcpuPressure pressure;
  private final VcpuOwner owner;
  private final VcpuTasks tasks = new VcpuTasks(this);
  private final VcpuWords words = new VcpuWords();

  @SuppressWarnings("UnusedVariable") // through PENDING only
  private int pending = ATTACH;

  // The owner's only.
  private boolean running; // online, and not waiting
  private int waits; // that this session is in: a handler that is called in one may begin another
  private boolean inSafepoint; // of this session: a task may have begun another
  private long seenArmEpoch;
  private @Nullable RcuReader reader; // its thread's, while it has one

  /**
   * Makes a vCPU that is offline, of whatever {@code identity} is. {@code armCallback} drops what
   * lets it write without a mark, after pages were armed; {@code ringFull} runs at a safepoint when
   * its ring, if it has one, is soft full.
   */
  @SuppressWarnings("this-escape") // to its own part
  public VcpuState(
      VcpuGroup group,
      int index,
      Object identity,
      Runnable armCallback,
      @Nullable RingRoom ring,
      Runnable ringFull) {
    this.group = group;
    this.index = index;
    this.identity = identity;
    this.owner = new VcpuOwner(group, index);
    this.hooks = new VcpuHooks(this, armCallback);
    this.pressure = new VcpuPressure(group, this, ring, ringFull);
    this.seenArmEpoch = group.handshake().armEpoch();
  }

  /** {@return its number} */
  public int index() {
    return index;
  }

  /** Has it drop, when it goes offline or waits, what lets it write without coming online. */
  public void whenAside(Runnable drop) {
    hooks.whenAside(drop);
  }

  /** {@return what it made dirty, and where it waits for that} */
  public VcpuPressure pressure() {
    return pressure;
  }

  /** {@return what the API knows it as} */
  public Object identity() {
    return identity;
  }

  /** {@return whether its thread has it online; to be asked by that thread} */
  public boolean isRunning() {
    return running;
  }

  /** {@return whether the calling thread has it online; from any thread} */
  public boolean isOnlineHere() {
    return owner.isMine() && running;
  }

  /** Whether the calling thread has had it online without a break since a session began. */
  boolean isSession(long number) {
    return owner.isSession(number);
  }

  long session() {
    return owner.session();
  }

  /** {@return whether something was asked of it; one load} */
  public boolean isAsked() {
    // ORDER S2 acquire: a poll. Pairs with the OR in request. If weaker (plain): the compiler
    // hoists it out of the guest's loop. Opaque would do: what is acknowledged is read in
    // acknowledge, and that load, being volatile, comes before the next live bit is read.
    return (int) PENDING.getAcquire(this) != 0;
  }

  /**
   * Does what was asked of it; comes online first if it is not. A task or a policy may end the
   * session: then what is left to do is the next owner's.
   */
  public void safepoint() {
    if (!running) {
      online();
      return;
    }
    owner.check();
    if (inSafepoint || hooks.isArmCallbackRunning()) {
      return; // from a task or the arm callback: the outer safepoint does it
    }
    long mine = session();
    inSafepoint = true;
    try {
      // Atomic: what is asked after this is seen at the next turn or the next safepoint.
      for (int asked = takePending(); asked != 0; asked = isSession(mine) ? takePending() : 0) {
        answer(asked, mine);
      }
    } finally {
      if (isSession(mine)) {
        inSafepoint = false;
      }
    }
  }

  private void answer(int asked, long mine) {
    tasks.runIn(mine);
    if (!isSession(mine)) {
      return; // a task took it offline, or closed it: another thread may have it by now
    }
    acknowledge();
    if (group.pauses().isPausedFor(this)) { // also if its bit was lost in an arm callback
      setAside();
      becomeOnline();
    }
    if ((asked & PRESSURE) != 0 && isSession(mine)) {
      pressure.relieve();
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
      hooks.runArmCallback();
      seenArmEpoch = epoch;
    }
    // A mark by another vCPU on which this one relied is visible before the acknowledgement.
    VarHandle.acquireFence();
    if (reader != null) {
      reader.quiescent(); // U4
    }
    words.acknowledge(request);
  }

  /** Brings it online for the calling thread, once no pause is on, and runs its tasks. */
  public void online() {
    if (running) {
      owner.check();
      return;
    }
    while (!isOnlineHere()) { // again, if a task has taken it offline
      comeOnline();
      tasks.runIn(session());
    }
  }

  private void comeOnline() {
    owner.checkOpen();
    VcpuState other = group.self();
    if (other != null && (other != this || waits > 0 || hooks.isArmCallbackRunning())) {
      throw new VcpuException(VcpuOwner.runsAlready(other, this));
    }
    group.pauses().checkHoldsNone(this);
    RcuReader own = group.reader();
    own.mayHaveVcpu = true;
    owner.take(); // S8
    waits = 0;
    inSafepoint = false;
    reader = own;
    becomeOnline();
  }

  /** Takes it offline, where its thread holds no half-done store. */
  public void offline() {
    if (owner.get() == null) {
      return;
    }
    owner.check();
    checkNotInArmCallback("going offline");
    detach();
  }

  /** An error in any step leaves a state from which another call goes on. */
  private void detach() {
    setAside();
    RcuReader own = reader;
    reader = null;
    owner.release(); // S8
    if (own != null) {
      own.mayHaveVcpu = false; // last: see there
    }
  }

  /** Nobody waits for it from here on; it marks nothing, and its next safepoint is not skipped. */
  private void setAside() {
    hooks.setAside(); // first: if it throws, this vCPU is waited for
    PENDING.getAndBitwiseOr(this, ATTACH);
    setOffline();
    running = false;
  }

  private void setOffline() {
    if (reader != null) {
      reader.offline(); // U4
    }
    // A mark by another vCPU on which this one relied is visible to whoever sees the state.
    VarHandle.acquireFence();
    words.setOnline(false); // S4
  }

  /**
   * State ONLINE, when no pause forbids it, with everything acknowledged. Does nothing if its
   * session ends while it waits for the end of a pause.
   */
  private void becomeOnline() {
    Thread self = Thread.currentThread();
    long mine = session();
    Throwable failed = null;
    for (; ; ) {
      // Before it shows itself online: who holds the pause has seen it offline, and sees it so on.
      if (!group.pauses().isPausedFor(this)) {
        words.setOnline(true);
        // ORDER S5 full fence: store the state, then load requests, pauses and live bits. Pairs
        // with the full fence of S1 (clear bits, then load the state) and S6. If weaker: the
        // collector sees OFFLINE and does not wait, and this vCPU sees live bits from before the
        // clear.
        VarHandle.fullFence();
        if (!group.pauses().isPausedFor(this)) {
          break;
        }
        setOffline();
      }
      waits++;
      try {
        group.pauses().awaitResume(this);
      } catch (Throwable e) { // other languages throw checked ones, too
        failed = e; // of the error handler, or of the VM: the pause is on all the same
      }
      if (owner.session != mine || owner.thread != self) { // isSession without a call
        VcpuState.<RuntimeException>rethrow(failed);
        return;
      }
      waits--;
      if (!group.mayWait() && group.pauses().isPausedFor(this)) {
        giveUp();
        throw group.pauses().notWaitedFor(this);
      }
    }
    running = true;
    PENDING.getAndBitwiseAnd(this, ~ATTACH);
    if (reader != null) {
      reader.online();
    }
    acknowledge();
    VcpuState.<RuntimeException>rethrow(failed);
  }

  @SuppressWarnings({"unchecked", "TypeParameterUnusedInFormals"}) // whatever it is
  private static <E extends Throwable> void rethrow(@Nullable Throwable failed) throws E {
    if (failed != null) {
      throw (E) failed;
    }
  }

  /** Goes offline where its thread expects to be online: what lets it write is dropped. */
  private void giveUp() {
    try {
      hooks.runArmCallback();
    } finally {
      detach();
    }
  }

  /** Runs a wait for others, named in messages; the vCPU is offline to all of them meanwhile. */
  public void waitAside(String what, Runnable wait) {
    checkNotInArmCallback(what);
    waitAside(wait);
  }

  /** As {@link #waitAside(String, Runnable)}, in a safepoint. */
  void waitAside(Runnable wait) {
    group.checkMayWait("a wait of a vCPU");
    Thread self = Thread.currentThread();
    long mine = session();
    setAside();
    waits++;
    try {
      wait.run();
    } finally {
      // Not if a handler that was called in the wait has taken it offline. No call: the stack may
      // have ended in the wait, and a vCPU that counts as waiting is of no use to anybody.
      if (owner.session == mine && owner.thread == self) {
        waits--;
        if (waits == 0) {
          becomeOnline();
        }
      }
    }
  }

  boolean isInArmCallback() {
    return hooks.isArmCallbackRunning();
  }

  void checkNotInArmCallback(String what) {
    hooks.checkNotInArmCallback(what);
  }

  /** Refuses another thread than the one that has it online. */
  public void checkOwner() {
    owner.check();
  }

  /** The next safepoint has to see to the ring or the limit. By its own thread. */
  void press() {
    if (((int) PENDING.getOpaque(this) & PRESSURE) == 0) {
      request(PRESSURE);
    }
  }

  // What other threads call.

  /** {@return what others have its thread do} */
  public VcpuTasks tasks() {
    return tasks;
  }

  /** Whether its thread runs no task any more. */
  boolean isGone() {
    // S14: all volatile.
    return owner.isShut() || group.isClosed() || owner.isDead();
  }

  /**
   * Closes it for good: by its own thread, or by any while it is offline or its thread is dead. If
   * this throws, the vCPU is offline, and another call goes on.
   *
   * @param leave takes it out of the log, while no thread can bring it online
   */
  public void close(Runnable leave) {
    if (owner.hasLeft()) {
      return;
    }
    if (owner.isMine()) {
      offline();
    }
    owner.close(leave);
    running = false; // if its thread died
    hooks.setAside(); // likewise
    tasks.failAll();
  }

  /** No thread brings it online any more. In {@code leave} of {@link #close}. */
  public void shut() {
    owner.shut();
  }

  /** {@return the thread that has it online; null if it is offline} */
  public @Nullable Thread owner() {
    return owner.get();
  }

  void request(int what) {
    // ORDER S2 volatile: after the number in REQUESTED. Pairs with the acquire in isAsked. If
    // weaker: the vCPU takes the flag away, reads the old number, and never looks again.
    PENDING.getAndBitwiseOr(this, what);
  }

  boolean hasAcknowledged(long request) {
    return words.hasAcknowledged(request);
  }

  /** {@return whether nobody waits for it} */
  public boolean isOffline() {
    return words.isOffline();
  }

  /** {@return whether its thread ended while online; reported once; all it wrote is visible} */
  public boolean isDead() {
    boolean dead = owner.isDead();
    if (dead) {
      hooks.setAside(); // or another thread would write by what it has left
      tasks.failAll();
    }
    return dead;
  }

  @Override
  public String toString() {
    return "LogVcpu["
        + index
        + ", "
        + (owner.isShut() ? "closed" : isOffline() ? "offline" : "online in " + owner.get())
        + "]";
  }
}
