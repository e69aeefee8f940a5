package dev.smudge.sync;

import dev.smudge.ring.DirtyRing;
import dev.smudge.sync.error.VcpuTimeoutException;
import dev.smudge.sync.internal.collect.Collector;
import dev.smudge.sync.internal.collect.UsedTrackers;
import dev.smudge.sync.internal.collect.WriteVerifier;
import dev.smudge.sync.internal.software.BitmapTracker;
import dev.smudge.sync.internal.software.RingTracker;
import dev.smudge.sync.internal.software.SoftwareTracker;
import dev.smudge.sync.internal.software.StoppedTracker;
import dev.smudge.sync.internal.vcpu.Handshake;
import dev.smudge.sync.tracker.Tracker;
import dev.smudge.sync.verify.PageContent;
import java.time.Duration;
import java.util.Objects;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/** Options of a {@link DirtyLog}. Not thread-safe. */
public final class DirtyLogBuilder {
  private static final String VERIFY = "smudge.verify";
  private static final System.Logger LOGGER = System.getLogger(DirtyLog.class.getName());

  Duration timeout = Duration.ofSeconds(10);
  Consumer<? super Throwable> errorHandler =
      e -> LOGGER.log(System.Logger.Level.ERROR, "dirty log: " + e.getMessage(), e);
  @Nullable Tracker tracker; // null: a built-in one
  UnaryOperator<Tracker> interceptor = UnaryOperator.identity();
  private int ringEntries; // 0: bitmap mode
  private int ringReserve;
  RingFullPolicy ringFullPolicy = RingFullPolicy.WAIT;
  private boolean verifies;
  private @Nullable PageContent content;
  private @Nullable Tracker oracle;
  private @Nullable Consumer<? super Throwable> unreported; // null: thrown

  DirtyLogBuilder() {}

  /**
   * As {@link #ring(int, int, RingFullPolicy)}, with the kernel's reserve of 64 entries, or a
   * quarter of a ring that is smaller than 256, and {@link RingFullPolicy#WAIT}.
   *
   * @param entries of each ring
   * @return this
   * @throws IllegalArgumentException see there
   */
  public DirtyLogBuilder ring(int entries) {
    return ring(entries, Math.min(64, entries / 4), RingFullPolicy.WAIT);
  }

  /**
   * Has each vCPU report in its own dirty ring. Default: bitmap mode, without rings.
   *
   * @param entries of each ring, a power of two from 2 to 65,536; 16 bytes each
   * @param reserve how many entries are free when a ring is soft full, 0 to {@code entries - 1}: it
   *     should have room for the pages that a vCPU makes dirty from one safepoint to the next;
   *     beyond it pages go to the bitmap of their slot
   * @param policy what the vCPU does then, at its next safepoint
   * @return this
   * @throws IllegalArgumentException if a value is outside that
   */
  public DirtyLogBuilder ring(int entries, int reserve, RingFullPolicy policy) {
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
  public DirtyLogBuilder timeout(Duration limit) {
    if (limit.isZero() || limit.isNegative() || limit.compareTo(Duration.ofDays(1)) > 0) {
      throw new IllegalArgumentException(
          "timeout " + limit + " is not more than zero and at most a day");
    }
    this.timeout = limit;
    return this;
  }

  /**
   * Sets the handler of errors that have no caller: a vCPU whose thread died, a write after {@link
   * DirtyLog#seal}. Default: the system logger {@code dev.smudge.sync.DirtyLog}.
   *
   * @param handler called from any thread, in the middle of calls of the log. What it throws goes
   *     to the system logger, and no further; but if it is told by a vCPU that waits for too long,
   *     it comes out of that vCPU's call, and ends the wait for room
   * @return this
   */
  public DirtyLogBuilder errorHandler(Consumer<? super Throwable> handler) {
    this.errorHandler = Objects.requireNonNull(handler, "handler");
    return this;
  }

  /**
   * Sets the tracker that finds guest writes, instead of the built-in one. If the tracker has its
   * own vCPUs ({@link Tracker#vcpus}), the log has no {@link LogVcpu}. Writes by devices have to be
   * marked as usual, unless the tracker finds those too.
   *
   * @param other tracker of one log alone: these options make one log with it
   * @return this
   */
  public DirtyLogBuilder tracker(Tracker other) {
    this.tracker = Objects.requireNonNull(other, "other");
    return this;
  }

  /**
   * Puts a tracker in front of the one that finds the guest's writes: to count, to trace, to inject
   * faults ({@link dev.smudge.sync.tracker.ForwardingTracker}). It has to pass every call on:
   * without {@code afterSync}, for example, writes are lost.
   *
   * @param interceptor gets that tracker, returns what the log is to use
   * @return this
   */
  public DirtyLogBuilder interceptTracker(UnaryOperator<Tracker> interceptor) {
    this.interceptor = Objects.requireNonNull(interceptor, "interceptor");
    return this;
  }

  /**
   * Switches the verify mode on, for the log of a {@code GuestMemory}, which knows its RAM: each
   * take and sync reads all of it, and finds writes that were not reported. For test suites. A log
   * without a memory refuses clients with an {@link IllegalStateException}: there use {@link
   * #verify(PageContent)}. The system property {@code smudge.verify} does the same for every {@code
   * GuestMemory}: with the value {@code true}, or with {@code report}, which tells the log's error
   * handler.
   *
   * <p>A later take, sync, or close of the last client throws an {@link
   * dev.smudge.sync.verify.UnreportedWriteException} for such a write: after vCPUs have passed a
   * safepoint, and other writers have had 100 milliseconds, without a mark. The page is then dirty
   * for every client.
   *
   * @return this
   */
  public DirtyLogBuilder verify() {
    this.verifies = true;
    return this;
  }

  /**
   * Switches the verify mode on, as {@link #verify()}, for an embedder that keeps its own RAM.
   *
   * @param of reads a page
   * @return this
   */
  public DirtyLogBuilder verify(PageContent of) {
    this.content = Objects.requireNonNull(of, "of");
    return verify();
  }

  /**
   * Switches the verify mode on, as {@link #verify()}, with another tracker that finds every write,
   * marked or not: the MMU's, {@code MmuTracker.oracle()}. It keeps no copies and reads no RAM. It
   * also finds a write that leaves the content as it was, but cannot say which byte was written.
   * Slots that it cannot track are compared with copies, and the error handler of the log is told
   * why, once.
   *
   * @param oracle the tracker, of one log alone, which closes it. All its methods are called under
   *     the collector lock, but for {@code close}
   * @return this
   */
  public DirtyLogBuilder verifyWith(Tracker oracle) {
    this.oracle = Objects.requireNonNull(oracle, "oracle");
    return verify();
  }

  /**
   * Switches the verify mode on, as {@link #verify()}, and calls a handler for each write that is
   * found, instead of throwing an exception.
   *
   * @param handler gets an {@link dev.smudge.sync.verify.UnreportedWriteException} per page, under
   *     the collector lock; must not throw
   * @return this
   */
  public DirtyLogBuilder verifyAndReport(Consumer<? super Throwable> handler) {
    this.unreported = Objects.requireNonNull(handler, "handler");
    return verify();
  }

  /** The built-in tracker of these options; null: another one finds the guest's writes. */
  @Nullable SoftwareTracker softwareTracker(Handshake handshake, boolean stopped) {
    if (stopped) {
      return new StoppedTracker();
    }
    if (tracker != null) {
      return null;
    }
    return ringEntries == 0
        ? new BitmapTracker(handshake)
        : new RingTracker(handshake, ringEntries, ringReserve);
  }

  void verifyBy(Collector collector, boolean stopped) {
    String property = System.getProperty(VERIFY, "false");
    boolean byProperty =
        switch (property) {
          case "false" -> false;
          case "", "true", "report" -> true;
          default ->
              throw new IllegalArgumentException(
                  "the system property "
                      + VERIFY
                      + " is '"
                      + property
                      + "': true, report and false are allowed");
        };
    if (verifies || byProperty) {
      Consumer<? super Throwable> handler =
          !verifies && property.equals("report") ? errorHandler : unreported;
      collector.verification(
          new WriteVerifier(collector, content, oracle, verifies, stopped, handler));
    }
  }

  /**
   * Makes the log. Options without a tracker of their own may be used for any number of logs.
   *
   * @return the log
   * @throws IllegalArgumentException if the system property {@code smudge.verify} has a value other
   *     than true, report and false
   * @throws IllegalStateException if the tracker or the oracle of these options is that of a log
   *     already, made by these options or by others: it would miss what the other one finds. The
   *     same if that log is closed, which has closed its trackers
   */
  public DirtyLog build() {
    UsedTrackers.use(tracker);
    boolean made = false;
    try {
      DirtyLog log = build(false);
      made = true;
      return log;
    } finally {
      if (!made) {
        UsedTrackers.free(tracker);
      }
    }
  }

  private DirtyLog build(boolean stopped) {
    UsedTrackers.use(oracle);
    boolean made = false;
    try {
      DirtyLog log = new DirtyLog(this, stopped);
      made = true;
      return log;
    } finally {
      if (!made) {
        UsedTrackers.free(oracle);
      }
    }
  }

  /**
   * Makes a log for an emulator with a natural stop (a frame, a step): the caller promises that
   * nothing writes guest memory while it syncs, takes, discards, seals or arms a watch. There are
   * no vCPUs and no handshake; writes are marked with {@link DirtyLog#mark}: a load if the page is
   * marked. The options for vCPUs, rings and trackers have no effect.
   *
   * @return the log
   * @throws IllegalArgumentException as {@link #build}
   * @throws IllegalStateException if the oracle of these options is or was that of a log
   */
  public DirtyLog buildStopped() {
    return build(true);
  }
}
