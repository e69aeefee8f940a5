package dev.smudge.migration;

import dev.smudge.bitmap.PageSet;
import dev.smudge.snapshot.MachineState;
import dev.smudge.snapshot.owner.ClientOwner;
import dev.smudge.sync.DirtyClient;
import java.nio.channels.ClosedByInterruptException;
import java.time.Duration;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import java.util.WeakHashMap;
import org.jspecify.annotations.Nullable;

/**
 * The source of live migrations of one guest. It sends the guest's pages in rounds while the guest
 * runs: each round has the pages that were written since the round before. When the rest is small
 * enough for the downtime goal, it stops the guest, sends the last pages and the state of its
 * machine, and tells the destination to run the guest.
 *
 * <p>The migration is a transaction: the source gives the guest up only after the destination has
 * confirmed that it has everything. After any failure before that, the guest runs on here with no
 * write lost. This object, or another with the same client, can then migrate again, and sends all
 * pages anew. Once the destination was told to run the guest, the guest stays stopped here, unless
 * the destination reports that it does not run the guest.
 *
 * <p>If the guest writes faster than its pages can be sent, {@link #throttle} lowers the limit of
 * its dirty rate until the migration converges. {@link #timeout} says what happens if that does not
 * help.
 *
 * <p>Threads: set it up and call {@link #migrate} in one thread at a time; call {@link #cancel} and
 * {@link #force} from any. With more than one connection, {@code migrate} starts one thread per
 * further connection while it lasts; a cancel starts one, for at most a second. Source:
 * docs/guide/live-migration.md.
 *
 * @param <S> what the client calls a slot
 */
public final class MigrationSource<S> {
  /** What happens when the time or the rounds of a migration are used up. */
  public enum AtLimit {
    /** The migration fails, and the guest runs on here. */
    CANCEL,
    /** The guest is stopped, however long the last round then takes. */
    FORCE
  }

  /**
   * What was taken of a client's pages, by whichever source or measurement, or has come to a
   * destination: it is not dirty for the client now, and is sent all the same.
   */
  static final class Sent {
    private final Map<Integer, PageSet> pages = new HashMap<>(); // by slot number
    private final ClientOwner owner =
        new ClientOwner(
            " is the client of a migration already, and each would lack the pages that the other"
                + " takes: make one for each");
    private volatile MigrationResult.End end = MigrationResult.End.STAYED; // where the guest is

    /** A call is under way. The caller ends it by this store, which needs no room on the stack. */
    volatile boolean busy;

    /** Of a slot that has another size than before, all is dirty. */
    <S> PageSet of(GuestRam<S> ram, S slot) {
      long count = ram.pages().pageCount(slot);
      PageSet taken = pages.get(ram.pages().slotId(slot));
      if (taken == null || taken.pageCount() != count) {
        taken = new PageSet(count);
        pages.put(ram.pages().slotId(slot), taken);
      }
      return taken;
    }

    /** One takes pages at a time: each would lack what the other takes. {@link #busy} ends it. */
    synchronized void enter(DirtyClient<?> client) {
      if (busy) {
        throw new IllegalStateException(
            "a migration of " + client + " is under way: each would lack what the other sends");
      }
      busy = true;
    }
  }

  /** What was taken of a client, which is a migration's from here on. */
  static Sent sent(DirtyClient<?> client) {
    Sent sent = SENT.computeIfAbsent(client, each -> new Sent());
    sent.owner.claim(client, null);
    return sent;
  }

  private static final Map<DirtyClient<?>, Sent> SENT =
      Collections.synchronizedMap(new WeakHashMap<>());

  final GuestRam<S> ram;
  final Sent sent;
  final MachineState machine;
  final MigratingGuest guest;
  MigrationListener listener = MigrationListener.NONE;
  Messages.@Nullable Handler check;
  byte[] greeting = new byte[0];
  Duration timeout = Duration.ofMinutes(10);
  AtLimit atLimit = AtLimit.CANCEL;
  Duration downtime = Duration.ofMillis(100);
  int minRounds = 1;
  int maxRounds = 100;
  long threshold;
  long leastLimit = Long.MAX_VALUE;
  boolean compress;
  volatile boolean cancelled;
  volatile boolean forced;
  private volatile @Nullable SourceRun<S> run; // the migration under way
  private @Nullable Messages messages;

  /** One is made at once: classes of the JDK whose initializer is cut short are of no use later. */
  private UUID next;

  private MigrationSource(GuestRam<S> ram, MachineState machine, MigratingGuest guest) {
    this.ram = Objects.requireNonNull(ram, "ram");
    this.machine = Objects.requireNonNull(machine, "machine");
    this.guest = Objects.requireNonNull(guest, "guest");
    this.sent = sent(ram.client());
    this.next = UUID.randomUUID();
  }

  /** {@return another number for each migration} */
  UUID newId() {
    UUID id = next;
    next = UUID.randomUUID();
    return id;
  }

  /**
   * Makes a source. Nothing happens yet.
   *
   * @param ram the guest's RAM, with a client for the migration alone
   * @param machine the rest of the guest's state, saved when the guest has stopped
   * @param guest stops and starts the guest
   * @param <S> what the client calls a slot
   * @return the source
   * @throws IllegalStateException if the client is that of a {@code SnapshotStore}, a {@code
   *     Rewind} or a {@code Reset}, or has taken a {@code BaseImage}
   */
  public static <S> MigrationSource<S> of(
      GuestRam<S> ram, MachineState machine, MigratingGuest guest) {
    return new MigrationSource<>(ram, machine, guest);
  }

  /**
   * Sets how long the guest may stand still for the last round. Default: 100 ms.
   *
   * @param goal 0 or more
   * @return this
   * @throws IllegalArgumentException if it is negative
   */
  public MigrationSource<S> downtimeGoal(Duration goal) {
    if (goal.isNegative()) {
      throw new IllegalArgumentException("a downtime goal of " + goal + "; 0 or more");
    }
    downtime = goal;
    return this;
  }

  /**
   * Sets how many rounds are made while the guest runs. Default: 1 to 100, and no threshold.
   *
   * @param min least number of rounds, from 1
   * @param max most rounds; then {@link #timeout} says what happens
   * @param thresholdPages if at most this many dirty pages are left, they are sent in the last
   *     round, whatever the goal says; 0: only if none is left
   * @return this
   * @throws IllegalArgumentException if they are not 1 &lt;= min &lt;= max, or the threshold is
   *     negative
   */
  public MigrationSource<S> rounds(int min, int max, long thresholdPages) {
    if (min < 1 || max < min || thresholdPages < 0) {
      throw new IllegalArgumentException(
          min + " to " + max + " rounds, threshold " + thresholdPages + "; 1 <= min <= max, 0 <=");
    }
    minRounds = min;
    maxRounds = max;
    threshold = thresholdPages;
    return this;
  }

  /**
   * Sets how long the rounds may take, and what happens when that time, or the number of rounds, is
   * used up. Default: 10 minutes, and the migration is cancelled. {@code CANCEL} takes effect in
   * the middle of a round, {@code FORCE} after it. The last round, in which the guest stands still,
   * has no limit. If the other end takes no bytes, the connection itself has to fail, as {@link
   * Connection#of(java.net.Socket, Duration)} does.
   *
   * @param limit more than 0
   * @param then what happens
   * @return this
   * @throws IllegalArgumentException if the limit is not more than 0
   */
  public MigrationSource<S> timeout(Duration limit, AtLimit then) {
    if (limit.isNegative() || limit.isZero()) {
      throw new IllegalArgumentException("a timeout of " + limit + "; more than 0");
    }
    timeout = limit;
    atLimit = Objects.requireNonNull(then, "then");
    return this;
  }

  /**
   * Throttles the guest if the migration does not converge: from the third round on, when a round
   * leaves more than half as much as the one before, the guest's dirty rate is limited to half of
   * its present rate, and to half of the rate of sending. The limit is removed when the guest is
   * stopped or stays. Default: no throttling.
   *
   * @param leastBytesPerSecond the lowest limit, from 1
   * @return this
   * @throws IllegalArgumentException if it is less than 1
   */
  public MigrationSource<S> throttle(long leastBytesPerSecond) {
    if (leastBytesPerSecond < 1) {
      throw new IllegalArgumentException("a limit of " + leastBytesPerSecond + "; 1 or more");
    }
    leastLimit = leastBytesPerSecond;
    return this;
  }

  /**
   * Sets whether pages are compressed. Compression pays if the connection is slower than a
   * processor compresses. Default: no compression.
   *
   * @param on whether they are
   * @return this
   */
  public MigrationSource<S> compress(boolean on) {
    compress = on;
    return this;
  }

  /**
   * Sets bytes that the destination gets first, for example to say which machine it has to make.
   *
   * @param bytes at most 64 KiB, copied
   * @return this
   * @throws IllegalArgumentException if there are more
   */
  public MigrationSource<S> greeting(byte[] bytes) {
    if (bytes.length > StreamLayout.MAX_GREETING) {
      throw new IllegalArgumentException(
          "a greeting of " + bytes.length + " bytes; at most " + StreamLayout.MAX_GREETING);
    }
    greeting = bytes.clone();
    return this;
  }

  /**
   * Sets a check by the embedder, made when the destination has everything and before the guest is
   * handed over. The destination needs a check too. An exception ends the migration, and the guest
   * stays.
   *
   * @param handler talks with the destination's handler
   * @return this
   */
  public MigrationSource<S> check(Messages.Handler handler) {
    check = Objects.requireNonNull(handler, "handler");
    return this;
  }

  /**
   * Sets a listener for the progress.
   *
   * @param told the listener
   * @return this
   */
  public MigrationSource<S> listener(MigrationListener told) {
    listener = Objects.requireNonNull(told, "told");
    return this;
  }

  /**
   * Migrates the running guest. When this returns, the guest is where the result says. The first
   * connection stays open after a hand-over, for {@link #messages}; the others are closed, and
   * after a failure all are. Blocks until the migration is over, or has failed. If it throws an
   * {@link Error}, the guest has stayed here; one that comes after the destination was told to run
   * the guest is the failure of the result. After a {@link StackOverflowError} connections may be
   * open: close them.
   *
   * @param first to the destination
   * @param more further ones to the same destination, at most 63; pages are divided between all
   * @return how it went, also if it failed
   * @throws InterruptedException if the calling thread is interrupted before the destination was
   *     told to run the guest: it runs on here. Later, the result says that it is in doubt
   * @throws IllegalArgumentException if there are too many connections; nothing has happened
   * @throws IllegalStateException if another migration by this client is under way, or the guest
   *     was handed over by one, or is in doubt since: it must not run twice. If it runs here all
   *     the same, use another client. Nothing has happened
   */
  public MigrationResult migrate(Connection first, Connection... more) throws InterruptedException {
    if (more.length >= StreamLayout.MAX_STREAMS) {
      throw new IllegalArgumentException(
          more.length + 1 + " connections; at most " + StreamLayout.MAX_STREAMS);
    }
    sent.enter(ram.client());
    try {
      checkIsHere();
      return run(first, more);
    } finally {
      sent.busy = false;
    }
  }

  /** A failure of one more migration would start the guest here, and a success at a third place. */
  private void checkIsHere() {
    if (sent.end != MigrationResult.End.STAYED) {
      throw new IllegalStateException(
          "the guest of "
              + ram.client()
              + (sent.end == MigrationResult.End.HANDED_OVER
                  ? " was handed over"
                  : " may run at the destination that was told to run it")
              + ", so it cannot be migrated from here; if it does run here, use another client");
    }
  }

  private MigrationResult run(Connection first, Connection[] more) throws InterruptedException {
    messages = null;
    SourceRun<S> started = new SourceRun<>(this);
    run = started;
    MigrationResult result;
    try {
      if (cancelled) {
        started.cancel(); // it was asked for before the run could be found
      }
      result = started.migrate(first, more);
    } finally {
      sent.end = started.result.end;
      run = null;
      cancelled = false;
      forced = false;
    }
    if (result.end() == MigrationResult.End.STAYED
        && result.failure() instanceof ClosedByInterruptException interrupted) {
      Thread.interrupted(); // the exception says so
      InterruptedException thrown = new InterruptedException("interrupted while it sent the guest");
      thrown.initCause(interrupted);
      throw thrown;
    }
    messages = started.messages();
    return result;
  }

  /**
   * Cancels the migration under way, unless the destination was told to run the guest already. The
   * guest runs on here, and the result has a failure that says so. The migration checks for a
   * cancel before each frame that it sends, and then tells the destination. If it has not ended
   * after one second, it waits for the other end, and its connections are closed. Returns at once.
   * From any thread; if it throws an {@link Error}, call it again.
   */
  public void cancel() {
    cancelled = true;
    SourceRun<S> running = run;
    if (running != null) {
      running.cancel();
    }
  }

  /** Makes the migration under way stop the guest after this round, and finish. */
  public void force() {
    forced = true;
  }

  /**
   * Returns the conversation with the embedder at the destination, after a hand-over.
   *
   * @return messages on the first connection
   * @throws IllegalStateException if the guest was not handed over
   */
  public Messages messages() {
    Messages with = messages;
    if (with == null) {
      throw new IllegalStateException("there is no destination that runs the guest");
    }
    return with;
  }
}
