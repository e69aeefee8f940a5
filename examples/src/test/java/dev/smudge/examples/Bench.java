package dev.smudge.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.GuestSlot;
import dev.smudge.migration.Connection;
import dev.smudge.migration.MigrationListener;
import dev.smudge.migration.MigrationResult;
import dev.smudge.migration.MigrationResult.End;
import dev.smudge.migration.MigrationSource;
import dev.smudge.migration.MigrationSource.AtLimit;
import dev.smudge.migration.MigrationTarget;
import dev.smudge.sync.tracker.Tracker;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.UnaryOperator;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/** A source and a destination in this JVM, for tests. */
final class Bench implements AutoCloseable {
  final Source source;
  final Destination destination;
  final CompletableFuture<Verdict> verdict = new CompletableFuture<>();

  /** What the destination says of its part; null if it does not run the guest. */
  @Nullable Verdict afterwards;

  private final Program program;
  private final UninterruptedRun uninterrupted = new UninterruptedRun();
  private final AtomicLong printed = new AtomicLong(); // at the source
  private final CountDownLatch mayEnd = new CountDownLatch(1);
  private volatile long most = Long.MAX_VALUE; // lines at the source, until it may end there

  /** With dirty rings at the source, if not 0. */
  Bench(Program program, int ring) {
    this(program, ring, UnaryOperator.identity());
  }

  /** And with something in front of the backend of the source's log. */
  Bench(Program program, int ring, UnaryOperator<Tracker> backend) {
    this.program = program;
    this.source = new Source(program, ring, backend, false, (channel, text) -> print());
    this.destination = new Destination(uninterrupted, (channel, text) -> {}, quiet());
  }

  static Progress quiet() {
    return new Progress(System.out, Progress.Style.NONE);
  }

  /**
   * Starts the guest, waits until it has printed so many lines, and migrates it. However long the
   * migration takes, the guest does not end before it is stopped: it waits when it has printed half
   * of its lines.
   */
  MigrationResult migrateAfter(int lines) throws Exception {
    most = linesOf(program) / 2;
    source.start();
    while (source.transcript().size() < lines && !source.guest().completion().isDone()) {
      waitFor(source.guest().completion(), Duration.ofMillis(1));
    }
    try {
      return migrate();
    } finally {
      mayEnd.countDown(); // it may have stayed
    }
  }

  private static long linesOf(Program program) {
    return switch (program) {
      case NativeProgram load -> (long) load.vcpus() * load.calls();
      case KvmProgram kvm -> linesOf(kvm.load());
      case MmuProgram mmu -> linesOf(mmu.program());
      default -> Long.MAX_VALUE; // its calls are few, and take long
    };
  }

  /** A vCPU at the source has printed a line. */
  private void print() {
    if (printed.incrementAndGet() >= most) {
      try {
        mayEnd.await();
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
    }
  }

  /** Starts the guest, lets it run for a while, and migrates it. */
  MigrationResult migrate(Duration warmUp) throws Exception {
    source.start();
    waitFor(source.guest().completion(), warmUp);
    return migrate();
  }

  private MigrationResult migrate() throws Exception {
    Connection[] ends = Connection.pair();
    Thread.ofPlatform().daemon().name("destination").start(() -> receive(ends[1]));
    try (Connection here = ends[0]) {
      MigrationSource<GuestSlot> migration =
          source
              .migration()
              .rounds(1, 30, 64)
              .downtimeGoal(Duration.ofMillis(5))
              .listener(
                  new MigrationListener() {
                    @Override
                    public void phase(Phase phase) {
                      if (phase == Phase.STOPPING) {
                        mayEnd.countDown(); // the stop waits for vCPUs, which may wait for this
                      }
                    }
                  })
              .timeout(Duration.ofMinutes(1), AtLimit.FORCE);
      MigrationResult result = migration.migrate(here);
      if (result.end() == End.HANDED_OVER) {
        afterwards = Verdict.await(migration.messages(), quiet());
      }
      return result;
    }
  }

  private void receive(Connection there) {
    try (MigrationTarget from = MigrationTarget.accept(there)) {
      verdict.complete(destination.run(from));
    } catch (IOException | RuntimeException e) {
      verdict.completeExceptionally(e);
    }
  }

  /** The guest moved, and what it wrote and printed is what it should be. */
  void assertMoved(MigrationResult result) throws Exception {
    if (result.failure() != null) {
      throw new AssertionError(result.failure());
    }
    assertEquals(End.HANDED_OVER, result.end());
    Comparison comparison = source.comparison();
    assertTrue(comparison != null && comparison.isEqual(), String.valueOf(comparison));
    assertVerified(afterwards);
    assertOneGuest(result);
  }

  /**
   * Whatever happened: the guest runs at one end at most, at exactly one if the ends know of each
   * other, and wherever it runs its output is that of an uninterrupted run.
   */
  void assertOneGuest(MigrationResult result) throws Exception {
    boolean ranThere = endsThere();
    if (result.end() == End.STAYED) {
      assertFalse(ranThere, "two guests");
      source.guest().completion().get();
      assertVerified(OutputCheck.rest(uninterrupted.of(program), source.transcript(), new long[0]));
    } else {
      assertTrue(result.end() == End.IN_DOUBT || ranThere, "no guest");
      long before = LongStream.of(destination.linesBefore()).sum();
      assertEquals(before, source.transcript().size(), "the source went on");
      assertVerified(OutputCheck.beginning(uninterrupted.of(program), source.transcript()));
    }
    assertEquals(0, source.lateWrites().size(), source.lateWrites().toString());
  }

  private boolean endsThere() throws Exception {
    try {
      assertVerified(verdict.get());
      return true;
    } catch (ExecutionException e) {
      assertFalse(destination.isRunning(), "runs and failed: " + e.getCause());
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

  @Override
  public void close() {
    mayEnd.countDown();
    destination.close();
    source.close();
  }
}
