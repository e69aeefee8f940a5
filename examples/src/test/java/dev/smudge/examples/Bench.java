package dev.smudge.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.examples.MigrationResult.End;
import dev.smudge.sync.tracker.Tracker;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.UnaryOperator;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/** A source and a destination in this JVM, for tests. */
final class Bench implements AutoCloseable {
  final MigrationSource source;
  final MigrationTarget target;
  final CompletableFuture<Verdict> verdict;
  final Connection atSource;
  private final Program program;
  private final UninterruptedRun uninterrupted = new UninterruptedRun();

  /** Puts something around the two ends of a connection. */
  Bench(Program program, UnaryOperator<Connection> source, UnaryOperator<Connection> target)
      throws IOException {
    this(program, Connection.pair(), source, target);
  }

  /** With dirty rings at the source, if not 0; nothing around the connection. */
  Bench(Program program, int ring) throws IOException {
    this(program, ring, UnaryOperator.identity());
  }

  /** And with something in front of the backend of the source's log. */
  Bench(Program program, int ring, UnaryOperator<Tracker> backend) throws IOException {
    this(
        program,
        source(program, ring, backend),
        Connection.pair(),
        UnaryOperator.identity(),
        UnaryOperator.identity());
  }

  Bench(
      Program program,
      Connection[] ends,
      UnaryOperator<Connection> aroundSource,
      UnaryOperator<Connection> aroundTarget)
      throws IOException {
    this(program, source(program, 0), ends, aroundSource, aroundTarget);
  }

  private Bench(
      Program program,
      MigrationSource source,
      Connection[] ends,
      UnaryOperator<Connection> aroundSource,
      UnaryOperator<Connection> aroundTarget)
      throws IOException {
    this.program = program;
    this.atSource = aroundSource.apply(ends[0]);
    this.source = source;
    Connection atTarget = aroundTarget.apply(ends[1]);
    // Its own thread, since making it writes to the connection already.
    CompletableFuture<MigrationTarget> made = new CompletableFuture<>();
    this.verdict = new CompletableFuture<>();
    Thread.ofPlatform().daemon().name("destination").start(() -> runTarget(atTarget, made));
    this.target = made.join();
  }

  static MigrationSource source(Program program, int ring) {
    return source(program, ring, UnaryOperator.identity());
  }

  private static MigrationSource source(Program program, int ring, UnaryOperator<Tracker> backend) {
    return new MigrationSource(
        program, Convergence.DEFAULT, ring, backend, (channel, text) -> {}, MigrationListener.NONE);
  }

  private void runTarget(Connection atTarget, CompletableFuture<MigrationTarget> made) {
    try (atTarget) {
      MigrationTarget built =
          new MigrationTarget(
              atTarget, uninterrupted, (channel, text) -> {}, MigrationListener.NONE);
      made.complete(built);
      verdict.complete(built.run());
    } catch (IOException | RuntimeException e) {
      made.completeExceptionally(e);
      verdict.completeExceptionally(e);
    }
  }

  /** Starts the guest, waits until it has printed so many lines, and migrates it. */
  MigrationResult migrateAfter(int lines) throws InterruptedException, IOException {
    source.start();
    while (source.transcript().size() < lines && !source.guest().completion().isDone()) {
      waitFor(source.guest().completion(), Duration.ofMillis(1));
    }
    try (atSource) {
      return source.migrate(atSource);
    }
  }

  /** Starts the guest, lets it run for a while, and migrates it. */
  MigrationResult migrate(Duration warmUp) throws InterruptedException, IOException {
    source.start();
    waitFor(source.guest().completion(), warmUp);
    try (atSource) {
      return source.migrate(atSource);
    }
  }

  /**
   * Whatever happened: the guest runs at one end at most, at exactly one if the ends know of each
   * other, and wherever it runs its output is that of an uninterrupted run.
   */
  void assertOneGuest(MigrationResult result) throws Exception {
    boolean ranThere = endsThere();
    if (result.end == End.STAYED) {
      assertFalse(ranThere, "two guests");
      source.guest().completion().get(20, TimeUnit.SECONDS);
      assertVerified(OutputCheck.rest(uninterrupted.of(program), source.transcript(), new long[0]));
    } else {
      assertTrue(result.end == End.IN_DOUBT || ranThere, "no guest");
      long before = LongStream.of(target.linesBefore()).sum();
      assertEquals(before, source.transcript().size(), "the source went on");
      assertVerified(OutputCheck.beginning(uninterrupted.of(program), source.transcript()));
    }
    assertEquals(0, source.lateWrites().size(), source.lateWrites().toString());
  }

  private boolean endsThere() throws Exception {
    try {
      assertVerified(verdict.get(20, TimeUnit.SECONDS));
      return true;
    } catch (ExecutionException e) {
      assertFalse(target.isRunning(), "runs and failed: " + e.getCause());
      return false;
    }
  }

  static void assertVerified(@Nullable Verdict verdict) {
    assertTrue(verdict != null && verdict.verified(), () -> String.valueOf(verdict));
  }

  static void waitFor(CompletableFuture<?> completion, Duration limit) throws InterruptedException {
    try {
      completion.get(limit.toNanos(), TimeUnit.NANOSECONDS);
    } catch (TimeoutException e) {
      return;
    } catch (ExecutionException e) {
      throw new AssertionError(e.getCause());
    }
  }

  /** A guest that runs for long at the source, and ends soon where it is not held back. */
  static NativeProgram program(int vcpus, long ram, long touched, Pattern pattern, int tlb) {
    return new NativeProgram(vcpus, ram, touched, pattern, 5000, 100, 20, 100_000, false, tlb, 7);
  }

  /** A guest of a few pages, soon at its end also at the source. */
  static NativeProgram small() {
    return new NativeProgram(
        1, 16 * 4096, 8 * 4096, Pattern.RANDOM, 1000, 100, 20, 1_000_000, false, 4, 7);
  }

  @Override
  public void close() throws IOException {
    atSource.close();
    try {
      verdict.get(20, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      assertFalse(target.isRunning());
    } catch (InterruptedException | TimeoutException e) {
      throw new AssertionError("the destination does not end", e);
    } finally {
      target.close();
      source.close();
    }
  }
}
