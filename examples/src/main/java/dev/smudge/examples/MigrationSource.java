package dev.smudge.examples;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.DirtyLogBuilder;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.tracker.Tracker;
import java.io.IOException;
import java.util.Queue;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.UnaryOperator;
import org.agrona.concurrent.AgentRunner;
import org.agrona.concurrent.BackoffIdleStrategy;
import org.jspecify.annotations.Nullable;

/**
 * A guest that runs here, and its migration to where a connection leads.
 *
 * <p>The client that collects dirty pages starts before the guest is made, on RAM that is all zero,
 * and sees no page as dirty. The destination begins with zeroes as well. So what the client is
 * given is all that has to be sent, and the first round of a slot of 1 TiB costs what the guest has
 * touched of it.
 *
 * <p>Nothing is lost if a migration fails at any point: a batch that was not sent is closed without
 * a commit, so its pages are dirty again; the last one is committed only when the destination runs.
 * Then the guest runs on here, unless the destination may be running it.
 */
final class MigrationSource implements AutoCloseable {
  private final Program program;
  private final Convergence convergence;
  private final MigrationListener listener;
  private final Queue<Throwable> lateWrites = new ConcurrentLinkedQueue<>();
  private final Machine machine;
  private final GuestMemory memory; // the machine's
  private final DirtyClient<GuestSlot> client;
  private final Transcript transcript;
  private final Guest guest;
  private final @Nullable AgentRunner reaper; // of the rings, if there are any
  private long lastTake = System.nanoTime();

  /**
   * Makes the guest, not running yet.
   *
   * @param program what it runs
   * @param convergence when to stop it
   * @param ring entries of each vCPU's dirty ring, 0: bitmap mode
   * @param backend put in front of the dirty log's, to leave things out
   * @param output gets what it prints, as it comes
   * @param listener is told how a migration goes
   */
  MigrationSource(
      Program program,
      Convergence convergence,
      int ring,
      UnaryOperator<Tracker> backend,
      GuestOutput output,
      MigrationListener listener) {
    this.program = program;
    this.convergence = convergence;
    this.listener = listener;
    this.transcript = new Transcript(output);
    DirtyLogBuilder log =
        DirtyLog.builder().interceptTracker(backend).errorHandler(lateWrites::add);
    this.machine = program.machine(log, ring);
    this.memory = machine.memory();
    this.reaper = ring == 0 ? null : startReaper(memory); // before the boot, which writes already
    try {
      program.addSlots(memory);
      this.client = memory.client("migration", InitialView.NONE_DIRTY);
      this.guest = program.boot(machine, transcript);
    } catch (RuntimeException | Error e) {
      closeMachine();
      throw e;
    }
  }

  /**
   * Else a vCPU whose ring is full would wait for the next round, before the first one for long.
   */
  private AgentRunner startReaper(GuestMemory memory) {
    AgentRunner runner =
        new AgentRunner(new BackoffIdleStrategy(), lateWrites::add, null, memory.log().reaper());
    AgentRunner.startOnThread(runner);
    return runner;
  }

  /** Runs the guest. */
  void start() {
    lastTake = System.nanoTime();
    guest.start();
  }

  Guest guest() {
    return guest;
  }

  Transcript transcript() {
    return transcript;
  }

  /**
   * {@return what the dirty log or its reaper reported, above all writes after the guest was
   * stopped}
   */
  Queue<Throwable> lateWrites() {
    return lateWrites;
  }

  /** {@return the RAM of the source} */
  GuestMemory memory() {
    return memory;
  }

  /** {@return how often its vCPUs waited because their rings were full} */
  long ringFullWaits() {
    return machine.ringFullWaits();
  }

  /** {@return the client that collects its dirty pages} */
  DirtyClient<GuestSlot> client() {
    return client;
  }

  /**
   * Migrates the guest, which runs. Afterwards it is stopped for good, or runs on here.
   *
   * @param connection to the destination; the caller closes it
   * @return how it went, also if it failed
   * @throws InterruptedException if the calling thread is interrupted; the guest runs on here
   */
  MigrationResult migrate(Connection connection) throws InterruptedException {
    MigrationResult result = new MigrationResult();
    try {
      SourceStream stream = new SourceStream(connection, memory, listener);
      try {
        stream.greet(program);
        preCopy(stream, result);
        switchOver(stream, result);
      } catch (IOException | RuntimeException e) {
        stream.abort(e);
        throw e;
      } finally {
        result.bytes = stream.bytes();
      }
      if (result.end == MigrationResult.End.HANDED_OVER) {
        result.destination = stream.awaitReport();
      }
    } catch (IOException | RuntimeException e) {
      result.failure = e;
    }
    return result;
  }

  /** Rounds while the guest runs. */
  private void preCopy(SourceStream stream, MigrationResult result) throws IOException {
    boolean reached = false;
    while (!reached) {
      checkGuest();
      long began = System.nanoTime();
      Round round;
      try (DirtyBatch<GuestSlot> batch = client.take()) {
        round = stream.send(batch, result.rounds.size() + 1, began, lastTake, false);
        batch.commit();
      }
      lastTake = began;
      result.rounds.add(round);
      memory.log().sync();
      result.pagesLeft = client.dirtyPages();
      result.estimatedDowntimeMillis = Convergence.downtimeMillis(result.rounds, result.pagesLeft);
      listener.roundEnds(round, result.pagesLeft, result.estimatedDowntimeMillis);
      reached =
          convergence.isReached(result.rounds, result.pagesLeft, result.estimatedDowntimeMillis);
    }
  }

  /** The guest stops; the last round; the destination runs. */
  private void switchOver(SourceStream stream, MigrationResult result)
      throws IOException, InterruptedException {
    listener.phase("stopping the guest");
    long asked = System.nanoTime();
    try {
      guest.stop();
      result.stopNanos = System.nanoTime() - asked;
      checkGuest();
      memory.seal();
      long began = System.nanoTime();
      try (DirtyBatch<GuestSlot> last = client.take()) {
        result.rounds.add(stream.send(last, result.rounds.size() + 1, began, lastTake, true));
        result.lastRoundNanos = System.nanoTime() - asked - result.stopNanos;
        stream.finish(guest.state(), transcript.counts());
        long down = System.nanoTime() - asked;
        compare(stream, result);
        long committed = System.nanoTime();
        result.end = MigrationResult.End.IN_DOUBT;
        try {
          stream.commit();
        } catch (StreamException e) {
          if (e.fault() == StreamException.Fault.PEER_GAVE_UP) {
            result.end = MigrationResult.End.STAYED; // it says that it does not run the guest
          }
          throw e;
        }
        result.end = MigrationResult.End.HANDED_OVER;
        result.downtimeNanos = down + (System.nanoTime() - committed);
        last.commit();
      }
    } finally {
      if (result.end == MigrationResult.End.STAYED) {
        memory.unseal();
        guest.start();
      }
    }
  }

  private void compare(SourceStream stream, MigrationResult result) throws IOException {
    listener.phase("comparing RAM");
    long began = System.nanoTime();
    Comparison comparison = stream.compare(program);
    result.comparisonNanos = System.nanoTime() - began;
    result.comparison = comparison;
    if (!comparison.isEqual()) {
      throw new LostWritesException(comparison);
    }
  }

  /** The destination's RAM is not the source's. */
  static final class LostWritesException extends IOException {
    private static final long serialVersionUID = 1L;

    LostWritesException(Comparison comparison) {
      super(comparison.toString());
    }
  }

  private void checkGuest() throws IOException {
    if (guest.completion().isCompletedExceptionally()) {
      try {
        guest.completion().join();
      } catch (CompletionException e) {
        throw new IOException("the guest failed: " + e.getCause(), e.getCause());
      }
    }
  }

  /** Stops the guest and gives its memory back. A second call does nothing. */
  @Override
  public void close() {
    guest.close();
    closeMachine();
  }

  private void closeMachine() {
    if (reaper != null) {
      reaper.close();
    }
    machine.close();
  }
}
