package dev.smudge.migration;

import static dev.smudge.migration.MigrationTest.assertFault;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.migration.MigrationException.Fault;
import dev.smudge.migration.MigrationResult.End;
import dev.smudge.testbase.StackSqueeze;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * A migration is cancelled or forced from another thread, also where it waits for the other end.
 */
@Timeout(60)
class CancelTest {
  private static final int PAGES = 512;

  /** Asked for from another thread in the third round. */
  @ParameterizedTest
  @CsvSource({"true", "false"})
  void cancelOrForce_inARound_staysOrMoves(boolean cancel) throws Exception {
    try (Bench bench = new Bench(PAGES)) {
      bench.guest.start();
      bench.source.rounds(1000, 2000, 0);
      bench.source.listener(
          new MigrationListener() {
            @Override
            public void roundEnds(Round round) {
              if (round.number() == 3) {
                Thread asking = new Thread(cancel ? bench.source::cancel : bench.source::force);
                asking.start();
                try {
                  asking.join();
                } catch (InterruptedException e) {
                  throw new AssertionError(e);
                }
              }
            }
          });
      MigrationResult result = bench.migrate(2, Bench.NOTHING, Bench.NOTHING);
      bench.assertOneGuest(result);
      assertEquals(cancel ? 3 : 4, result.rounds().size());
      if (cancel) {
        assertFault(Fault.CANCELLED, result);
        bench.source.rounds(1, 10, 1 << 20);
        bench.assertMovesNow(1);
      } else {
        assertEquals(End.HANDED_OVER, result.end());
      }
    }
  }

  /** The guest of another attempt is not stopped as early as that of this one was to be. */
  @Test
  void force_migrationEndsWithAnError_nextIsNotForced() throws Exception {
    try (Bench bench = new Bench(PAGES)) {
      bench.guest.start();
      bench.source.rounds(4, 4, 0);
      bench.source.listener(
          new MigrationListener() {
            @Override
            public void phase(Phase phase) {
              bench.source.force();
              throw new StackOverflowError("of the listener");
            }
          });
      assertThrows(StackOverflowError.class, () -> bench.migrate(1, Bench.NOTHING, Bench.NOTHING));
      bench.source.listener(MigrationListener.NONE);
      MigrationResult result = bench.migrate(1, Bench.NOTHING, Bench.NOTHING);
      assertEquals(End.HANDED_OVER, result.end(), String.valueOf(result.failure()));
      assertEquals(5, result.rounds().size(), result.toString());
    }
  }

  /** An interrupt closes the channels of a connection; the next migration has others. */
  @Test
  void migrate_byAnInterruptedThread_throwsSoAndTheGuestStays() throws Exception {
    try (Bench bench = new Bench(PAGES)) {
      bench.guest.start();
      assertThrows(
          InterruptedException.class,
          () ->
              bench.attempt(
                  1,
                  Bench.NOTHING,
                  Bench.NOTHING,
                  (first, more) -> {
                    Thread.currentThread().interrupt();
                    bench.source.migrate(first, more);
                  }));
      assertFalse(Thread.currentThread().isInterrupted());
      assertTrue(bench.guest.isRunning());
      bench.assertMovesNow(1);
    }
  }

  /** In the greeting, or in a round. */
  @ParameterizedTest
  @CsvSource({"0", "1000"})
  void cancel_connectionTakesNothing_guestStays(long bytes) throws Exception {
    try (Bench bench = new Bench(PAGES)) {
      StuckConnection stuck = new StuckConnection(bytes);
      bench.guest.start();
      Thread cancelling =
          new Thread(() -> {
            try {
              stuck.isStuck.await();
              bench.source.cancel();
            } catch (InterruptedException e) {
              throw new AssertionError(e);
            }
          });
      cancelling.start();
      MigrationResult result = bench.source.migrate(stuck);
      cancelling.join();
      assertFault(Fault.CANCELLED, result);
      assertEquals(End.STAYED, result.end());
      assertTrue(bench.guest.isRunning());
      bench.source.rounds(1, 10, 1 << 20);
      bench.assertMovesNow(1);
    }
  }

  /** It closes nothing: the source would not know where its guest is. */
  @Test
  void cancel_destinationWasToldToRunTheGuest_moves() throws Exception {
    try (Bench bench = new Bench(8)) {
      bench.atStart =
          () -> {
            bench.source.cancel();
            for (Thread thread : Thread.getAllStackTraces().keySet()) {
              if (thread.getName().equals("migration-cancel")) {
                try {
                  thread.join();
                } catch (InterruptedException e) {
                  throw new AssertionError(e);
                }
              }
            }
          };
      bench.guest.start();
      MigrationResult result = bench.migrate(1, Bench.NOTHING, Bench.NOTHING);
      assertEquals(End.HANDED_OVER, result.end(), String.valueOf(result.failure()));
      bench.assertOneGuest(result);
    }
  }

  /** The other end has accepted, and takes no more than so many bytes. */
  private static final class StuckConnection implements Connection {
    final CountDownLatch isStuck = new CountDownLatch(1);
    private final CountDownLatch isClosed = new CountDownLatch(1);
    private final Connection[] ends = Connection.pair();
    private long left;

    StuckConnection(long bytes) throws IOException {
      left = bytes;
      new FrameWriter(ends[1].output()).send(FrameType.ACCEPTED, new byte[0]);
    }

    @Override
    public InputStream input() {
      return ends[0].input();
    }

    @Override
    public OutputStream output() {
      return new OutputStream() {
        @Override
        public void write(int one) throws IOException {
          left--;
          if (left < 0) {
            isStuck.countDown();
            try {
              isClosed.await();
            } catch (InterruptedException e) {
              isClosed.countDown(); // the test has taken too long
              throw new IOException(e);
            }
            throw new IOException("closed while something was written");
          }
        }
      };
    }

    @Override
    public void close() throws IOException {
      isClosed.countDown();
      ends[0].close();
      ends[1].close();
    }
  }

  /** Nobody answers, so the thread that closes the connections is needed. */
  @Test
  void cancel_stackEnds_nextCancelEndsTheMigration() throws Exception {
    try (Bench bench = new Bench(PAGES)) {
      bench.guest.start();
      Connection[] ends = Connection.pair();
      CountDownLatch waits = new CountDownLatch(1);
      bench.source.listener(
          new MigrationListener() {
            @Override
            public void phase(Phase phase) {
              waits.countDown();
            }
          });
      MigrationResult[] result = new MigrationResult[1];
      Thread migrating =
          new Thread(() -> {
            try {
              result[0] = bench.source.migrate(ends[0]);
            } catch (InterruptedException e) {
              throw new AssertionError(e);
            }
          });
      migrating.start();
      waits.await();
      StackSqueeze.withSmallStack(() -> {
        int frames = 0;
        while (StackSqueeze.callAbove(frames, bench.source::cancel) != null) {
          frames++;
        }
        assertTrue(frames > 5, frames + " errors");
      });
      migrating.join(20_000);
      assertFalse(migrating.isAlive(), "it waits for the other end");
      assertFault(Fault.CANCELLED, result[0]);
      ends[1].close();
    }
  }
}
