package dev.smudge.sync.internal.vcpu;

import dev.smudge.sync.internal.event.Events;
import dev.smudge.sync.rcu.Rcu;
import dev.smudge.sync.rcu.RcuReader;
import dev.smudge.sync.rcu.RcuVcpus;
import java.time.Duration;
import java.util.Arrays;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** The vCPUs of one log, and what is asked of all of them. */
@SuppressWarnings("ReferenceEquality") // threads are compared by identity
public final class VcpuGroup implements RcuVcpus {
  private static final System.Logger LOGGER = System.getLogger("dev.smudge.sync.DirtyLog");
  private static final String UNDER_LOCK =
      "a call under the collector lock, by a tracker or by a handler that is called there,";

  private final Duration timeout;
  private final Consumer<? super Throwable> errorHandler;
  private final Consumer<? super Throwable> handlerInAWait;
  private final Rcu rcu;
  private final VcpuSignal signal = new VcpuSignal();
  private final Handshake handshake;
  private final Pauses pauses;
  private final BackPressure pressure;

  private volatile VcpuState[] vcpus = new VcpuState[0];
  private volatile boolean closed;
  private int nextIndex; // under the collector lock
  private BooleanSupplier holdsCollectorLock = () -> false;

  /**
   * Makes a group without vCPUs.
   *
   * @param timeout how long a barrier or a pause waits for a vCPU
   * @param errorHandler told of errors that have no caller
   */
  public VcpuGroup(Duration timeout, Consumer<? super Throwable> errorHandler) {
    this(timeout, errorHandler, Handshake::new);
  }

  /** As the other, with a handshake of the caller's. */
  @SuppressWarnings("this-escape") // to its own parts
  VcpuGroup(
      Duration timeout,
      Consumer<? super Throwable> errorHandler,
      Function<VcpuGroup, Handshake> handshake) {
    Events.initialize();
    VcpuTasks.initialize(); // with the stack that is there for these
    this.timeout = timeout;
    this.handlerInAWait = errorHandler;
    this.errorHandler = e -> tell(errorHandler, e);
    this.rcu = Rcu.create(this, timeout, this.errorHandler);
    this.handshake = handshake.apply(this);
    this.pauses = new Pauses(this, signal);
    this.pressure = new BackPressure(this, signal);
  }

  /**
   * Nobody waits for others where this is so: in calls under the collector lock. Those who are
   * waited for may need the lock, and the wait would never end. Before there are vCPUs.
   */
  public void refuseWaits(BooleanSupplier where) {
    holdsCollectorLock = where;
  }

  /** Whether the calling thread may wait for the end of a pause. */
  boolean mayWait() {
    return !closed && !holdsCollectorLock.getAsBoolean();
  }

  /** Refuses a wait under the collector lock. */
  public void checkMayWait(String what) {
    if (holdsCollectorLock.getAsBoolean()) {
      throw new IllegalStateException(
          what
              + " inside "
              + UNDER_LOCK
              + " would wait for threads that may need that lock: let another thread do it, or do it"
              + " after that call");
    }
  }

  /** {@return the RCU whose readers these vCPUs are} */
  public Rcu rcu() {
    return rcu;
  }

  /** {@return the after-sync barrier} */
  public Handshake handshake() {
    return handshake;
  }

  /** {@return what stops all vCPUs} */
  public Pauses pauses() {
    return pauses;
  }

  /** {@return where vCPUs wait that write too fast} */
  public BackPressure pressure() {
    return pressure;
  }

  /**
   * Tells the embedder's handler. What that throws ends here: it is told in the middle of what has
   * to go on, such as the leave of a device whose last pages nobody has yet.
   */
  private static void tell(Consumer<? super Throwable> handler, Throwable error) {
    try {
      handler.accept(error);
    } catch (Throwable e) { // other languages throw checked ones, too
      try {
        if (!e.equals(error)) { // the JVM throws one OutOfMemoryError several times
          e.addSuppressed(error);
        }
        LOGGER.log(System.Logger.Level.ERROR, "the error handler of a dirty log has failed", e);
      } catch (Throwable end) {
        // No stack or no memory for the logger either, and nobody else to tell.
      }
    }
  }

  /** {@return who is told of errors that have no caller; throws nothing} */
  public Consumer<? super Throwable> errorHandler() {
    return errorHandler;
  }

  /** {@return who is told by a vCPU that waits; what it throws ends that wait} */
  Consumer<? super Throwable> handlerInAWait() {
    return handlerInAWait;
  }

  /** {@return how long a wait takes at most, in nanoseconds} */
  public long timeoutNanos() {
    return timeout.toNanos();
  }

  /** {@return how long a wait takes at most, in milliseconds} */
  public long timeoutMillis() {
    return timeout.toMillis();
  }

  RcuReader reader() {
    return rcu.reader();
  }

  /** {@return the vCPUs of now; not to be changed} */
  public VcpuState[] vcpus() {
    // S7.
    return vcpus;
  }

  /** {@return the number of the next vCPU; under the collector lock} */
  public int nextIndex() {
    return nextIndex++;
  }

  /** Adds a vCPU, which is offline. */
  public void add(VcpuState vcpu) {
    signal.lock();
    try {
      VcpuState[] more = Arrays.copyOf(vcpus, vcpus.length + 1);
      more[vcpus.length] = vcpu;
      // ORDER S7 volatile: the list is published before the vCPU comes online (S5). Pairs with the
      // read in vcpus, by Handshake.request after S1 and by Pauses.stop after S6. If weaker: a
      // barrier misses a vCPU that saw live bits from before its clear, or a pause does.
      vcpus = more;
    } finally {
      signal.unlock();
    }
  }

  /**
   * Removes a vCPU, which is offline and will not come back.
   *
   * @param vcpu the vCPU
   */
  public boolean remove(VcpuState vcpu) {
    signal.lock();
    try {
      int before = vcpus.length;
      vcpus = Arrays.stream(vcpus).filter(v -> v != vcpu).toArray(VcpuState[]::new);
      return vcpus.length < before;
    } finally {
      signal.unlock();
    }
  }

  /** {@return the vCPU that the calling thread runs, if it is online} */
  public @Nullable VcpuState self() {
    Thread thread = Thread.currentThread();
    for (VcpuState vcpu : vcpus) {
      if (vcpu.owner() == thread) {
        return vcpu;
      }
    }
    return null;
  }

  /**
   * The log is being closed: nobody waits any more in a pause, for room, or for a dirty limit. Then
   * the rest of it is closed, and all tasks that have not run fail; later ones fail themselves. Can
   * be repeated.
   */
  public void close(Runnable rest) {
    closed = true; // S14: as where a vCPU is closed
    try {
      pressure.setCollecting(false); // wakes those that wait in a pause, too
      rest.run();
    } finally {
      for (VcpuState vcpu : vcpus) {
        vcpu.tasks().failAll();
      }
    }
  }

  /** {@return whether the log was closed, or is being closed} */
  public boolean isClosed() {
    return closed;
  }

  // How the vCPUs take part in RCU.

  @Override
  public Quiescence request() {
    return handshake.request(null);
  }

  @Override
  public void waitOffline(String what, Runnable wait) {
    VcpuState self = self();
    if (self == null) {
      wait.run();
      return;
    }
    self.waitAside(what, wait);
  }

  @Override
  public @Nullable String placeThatMustNotWait() {
    if (holdsCollectorLock.getAsBoolean()) {
      return UNDER_LOCK;
    }
    VcpuState self = self();
    return self != null && self.isInArmCallback()
        ? "the arm callback of vCPU " + self.index()
        : null;
  }
}
