package dev.smudge.migration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.migration.MigrationException.Fault;
import dev.smudge.migration.MigrationResult.End;
import dev.smudge.migration.MigrationSource.AtLimit;
import dev.smudge.sync.LogSlot;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A guest moves, is throttled until it does, is cancelled or forced, or stays for a reason. */
@Timeout(60)
class MigrationTest {
  private static final int PAGES = 512;

  /** So slow that a guest that writes all the time does not converge. */
  private static Connection slow(Connection connection, int index) {
    return new SlowConnection(connection, 8 << 20);
  }

  @ParameterizedTest
  @CsvSource({"1, false", "1, true", "2, false", "3, true"})
  void migrate_runningGuest_sameAtTheDestination(int streams, boolean compress) throws Exception {
    try (Bench bench = new Bench(PAGES)) {
      bench.guest.start();
      bench.source.rounds(4, 6, 0).timeout(Duration.ofMinutes(1), AtLimit.FORCE).compress(compress);
      MigrationResult result = bench.migrate(streams, Bench.NOTHING, Bench.NOTHING);
      assertEquals(End.HANDED_OVER, result.end(), String.valueOf(result.failure()));
      assertNull(result.failure());
      bench.assertOneGuest(result);
      assertTrue(result.rounds().size() >= 5, result.toString());
      assertTrue(result.rounds().get(result.rounds().size() - 1).last());
      assertTrue(result.downtimeNanos() >= result.lastRoundNanos());
      assertEquals(1, bench.guest.stops);
    }
  }

  @Test
  void close_whileTheGuestIsBeingStarted_sourceIsNotToldThatItStayed() throws Exception {
    try (Bench bench = new Bench(8)) {
      bench.closeAtStart = true;
      bench.guest.start();
      bench.source.rounds(1, 2, 0).timeout(Duration.ofMinutes(1), AtLimit.FORCE);
      MigrationResult result = bench.migrate(1, Bench.NOTHING, Bench.NOTHING);
      assertTrue(bench.ranThere);
      assertEquals(End.IN_DOUBT, result.end(), String.valueOf(result.failure()));
      assertFalse(bench.guest.isRunning(), "it runs at both ends");
    }
  }

  /** The destination reads nothing of the second stream before all pages have been sent. */
  @Test
  void migrate_oneStreamIsLate_noOldContentWins() throws Exception {
    CountDownLatch allSent = new CountDownLatch(1);
    Bench.Wrap late =
        (connection, index) -> index == 0 ? connection : new LateConnection(connection, allSent);
    try (Bench bench = new Bench(8)) {
      bench.source.listener(
          new MigrationListener() {
            @Override
            public void roundEnds(Round round) {
              if (round.last()) {
                allSent.countDown();
              }
            }
          });
      bench.guest.hotPages = 2; // what is sent has to fit into a pipe that nobody reads
      bench.guest.start();
      bench.source.rounds(2, 2, 0).timeout(Duration.ofMinutes(1), AtLimit.FORCE);
      MigrationResult result = bench.migrate(2, Bench.NOTHING, late);
      assertEquals(End.HANDED_OVER, result.end(), String.valueOf(result.failure()));
      bench.assertSame();
    }
  }

  private record LateConnection(Connection connection, CountDownLatch from) implements Connection {
    @Override
    public InputStream input() {
      return new FilterInputStream(connection.input()) {
        private boolean greeted;

        @Override
        public int read(byte[] to, int offset, int length) throws IOException {
          if (greeted) {
            try {
              from.await();
            } catch (InterruptedException e) {
              throw new IOException(e);
            }
          }
          greeted = true;
          int hello = StreamLayout.PREAMBLE_SIZE + StreamLayout.HEADER_SIZE + 24 + 4;
          return super.read(to, offset, Math.min(length, hello));
        }
      };
    }

    @Override
    public OutputStream output() {
      return connection.output();
    }

    @Override
    public void close() throws IOException {
      connection.close();
    }
  }

  @Test
  void migrate_progress_endsWithNothingRemaining() throws Exception {
    List<MigrationProgress> all = new ArrayList<>();
    try (Bench bench = new Bench(PAGES)) {
      bench.source.listener(
          new MigrationListener() {
            @Override
            public void progress(MigrationProgress progress) {
              all.add(progress);
            }
          });
      bench.assertMovesNow(1);
    }
    assertEquals(PAGES / 2 * 4096L, all.get(0).remainingBytes());
    assertEquals(0, all.get(all.size() - 1).remainingBytes());
    assertEquals(PAGES / 2 * 4096L, all.get(all.size() - 1).sentBytes());
  }

  @Test
  void migrate_guestFasterThanTheConnection_throttledAndMoves() throws Exception {
    try (Bench bench = new Bench(PAGES)) {
      bench.guest.start();
      bench.source.downtimeGoal(Duration.ofMillis(15)).rounds(1, 100, 0).throttle(64 << 10);
      bench.source.listener(bench.writesInRounds(2));
      MigrationResult result = bench.migrate(1, MigrationTest::slow, Bench.NOTHING);
      assertEquals(End.HANDED_OVER, result.end(), String.valueOf(result.failure()));
      bench.assertOneGuest(result);
      assertTrue(result.limitBytesPerSecond() < Long.MAX_VALUE, "it was not throttled");
      assertTrue(result.estimatedDowntimeMillis() <= 15, result.toString());
    }
  }

  @Test
  void migrate_guestFasterThanTheConnectionNotThrottled_staysAndSaysSo() throws Exception {
    try (Bench bench = new Bench(PAGES)) {
      bench.guest.start();
      bench.source.downtimeGoal(Duration.ofMillis(15)).rounds(1, 5, 0);
      bench.source.timeout(Duration.ofMinutes(1), AtLimit.CANCEL);
      bench.source.listener(bench.writesInRounds(5));
      MigrationResult result = bench.migrate(2, MigrationTest::slow, Bench.NOTHING);
      assertFault(Fault.NOT_CONVERGED, result);
      assertEquals(0, bench.guest.stops);
      bench.assertOneGuest(result);
      bench.source.listener(MigrationListener.NONE);
      bench.source.rounds(1, 3, 0).timeout(Duration.ofMinutes(1), AtLimit.FORCE);
      bench.assertMovesNow(2);
    }
  }

  @Test
  void migrate_timeIsUsedUp_forcedOrCancelled() throws Exception {
    try (Bench bench = new Bench(PAGES)) {
      bench.guest.start();
      bench.source.listener(bench.writesInRounds(Integer.MAX_VALUE));
      bench.source.downtimeGoal(Duration.ZERO).timeout(Duration.ofMillis(100), AtLimit.CANCEL);
      MigrationResult result = bench.migrate(1, MigrationTest::slow, Bench.NOTHING);
      assertFault(Fault.NOT_CONVERGED, result);
      bench.assertOneGuest(result);
      bench.source.timeout(Duration.ofMillis(100), AtLimit.FORCE);
      result = bench.migrate(1, MigrationTest::slow, Bench.NOTHING);
      assertEquals(End.HANDED_OVER, result.end());
      bench.assertOneGuest(result);
    }
  }

  /** The time is used up when the first of several frames is sent. */
  @Test
  void migrate_timeIsUsedUpInARound_cancelledBeforeItEnds() throws Exception {
    try (Bench bench = new Bench(PAGES)) {
      bench.source.listener(
          new MigrationListener() {
            @Override
            public void progress(MigrationProgress progress) {
              bench.source.timeout(Duration.ofNanos(1), AtLimit.CANCEL);
            }
          });
      MigrationResult result = bench.migrate(1, Bench.NOTHING, Bench.NOTHING);
      assertFault(Fault.NOT_CONVERGED, result);
      assertEquals(0, result.rounds().size());
      assertEquals(0, bench.guest.stops);
      bench.source.listener(MigrationListener.NONE).timeout(Duration.ofMinutes(1), AtLimit.CANCEL);
      bench.assertMovesNow(1);
    }
  }

  /** What was sent of it is at the destination, and would run there with a slot too many. */
  @Test
  void migrate_slotIsRemovedMeanwhile_stays() throws Exception {
    try (Bench bench = new Bench(8)) {
      bench.source.rounds(2, 10, 0);
      bench.source.listener(
          new MigrationListener() {
            @Override
            public void roundEnds(Round round) {
              if (round.number() == 1) {
                bench.guest.log.change().remove(bench.guest.slots.get(1)).commit();
              }
            }
          });
      MigrationResult result = bench.migrate(1, Bench.NOTHING, Bench.NOTHING);
      assertFault(Fault.BAD_CONTENT, result);
      assertTrue(message(result).contains("was removed"), message(result));
      assertEquals(End.STAYED, result.end());
    }
  }

  /** What the first has sent is not dirty for the client any more. */
  @Test
  void migrate_byAnotherSourceOfTheSameClient_sendsAllAnew() throws Exception {
    try (Bench bench = new Bench(PAGES)) {
      bench.guest.hotPages = 4; // the others are sent once
      bench.guest.start();
      bench.failRestore = true;
      bench.assertOneGuest(bench.migrate(2, Bench.NOTHING, Bench.NOTHING));
      bench.failRestore = false;
      bench.source = bench.newSource();
      bench.assertMovesNow(2);
    }
  }

  /** Each would lack the pages that the other has taken. */
  @Test
  void migrate_whileAnotherOfTheSameClientIsUnderWay_isRefused() throws Exception {
    try (Bench bench = new Bench(PAGES)) {
      bench.guest.start();
      Connection[] ends = Connection.pair();
      MigrationSource<LogSlot> other =
          MigrationSource.of(bench.guest.ram, bench.guest, bench.guest);
      bench.source.listener(
          new MigrationListener() {
            @Override
            public void roundEnds(Round round) {
              assertThrows(IllegalStateException.class, () -> bench.source.migrate(ends[0]));
              assertThrows(IllegalStateException.class, () -> other.migrate(ends[0]));
            }
          });
      bench.assertMovesNow(1);
    }
  }

  @Test
  void migrate_limitsLongerThanTheClockCounts_moves() throws Exception {
    try (Bench bench = new Bench(PAGES)) {
      bench.guest.start();
      bench.source.timeout(Duration.ofSeconds(Long.MAX_VALUE), AtLimit.CANCEL);
      bench.source.downtimeGoal(Duration.ofSeconds(Long.MAX_VALUE));
      bench.assertMovesNow(1);
    }
  }

  @Test
  void migrate_destinationCannotRestoreTheMachine_staysAndSaysWhy() throws Exception {
    try (Bench bench = new Bench(PAGES)) {
      bench.guest.start();
      bench.failRestore = true;
      MigrationResult result = bench.migrate(2, Bench.NOTHING, Bench.NOTHING);
      bench.assertOneGuest(result);
      assertFault(Fault.PEER_GAVE_UP, result);
      assertTrue(message(result).contains("a machine of another make"), message(result));
      bench.failRestore = false;
      bench.failStart = true; // after COMMIT: it says that it does not run the guest
      result = bench.migrate(2, Bench.NOTHING, Bench.NOTHING);
      bench.assertOneGuest(result);
      assertFault(Fault.PEER_GAVE_UP, result);
      bench.failStart = false;
      bench.assertMovesNow(2);
    }
  }

  @Test
  void migrate_startOfTheGuestThrowsAnError_runsOnAtTheSource() throws Exception {
    try (Bench bench = new Bench(PAGES)) {
      bench.guest.start();
      bench.failStart = true;
      bench.startFailure = new OutOfMemoryError("no room for a processor");
      MigrationResult result = bench.migrate(2, Bench.NOTHING, Bench.NOTHING);
      bench.assertOneGuest(result);
      assertFault(Fault.PEER_GAVE_UP, result);
      bench.failStart = false;
      bench.assertMovesNow(2);
    }
  }

  /** A page port in another language, where checked exceptions need no word. */
  @Test
  void migrate_readOfAPageThrowsAnythingAtAll_staysAndNoPageIsMissingLater() throws Exception {
    try (Bench bench = new Bench(PAGES)) {
      AtomicBoolean once = new AtomicBoolean();
      bench.guest.atRead =
          () -> {
            if (Thread.currentThread().getName().equals("migration-1") && !once.getAndSet(true)) {
              Guest.<RuntimeException>sneak(new InstantiationException("of the page port"));
            }
          };
      MigrationResult result = bench.migrate(2, Bench.NOTHING, Bench.NOTHING);
      assertEquals(End.STAYED, result.end());
      assertTrue(message(result).contains("of the page port"), message(result));
      bench.assertMovesNow(2);
    }
  }

  @Test
  void migrate_destinationRefuses_saysWhy() throws Exception {
    Connection[] ends = Connection.pair();
    new FrameWriter(ends[1].output()).send(FrameType.REFUSED, "no room");
    ends[1].close();
    try (Bench bench = new Bench(8)) {
      bench.guest.start();
      MigrationResult result = bench.source.migrate(ends[0]);
      assertEquals(End.STAYED, result.end());
      Exception failure = java.util.Objects.requireNonNull(result.failure());
      String all = failure + " " + java.util.Arrays.toString(failure.getSuppressed());
      assertTrue(all.contains("no room"), all);
      assertTrue(bench.guest.isRunning());
    }
  }

  @Test
  void refuse_insteadOfReceive_sourceKeepsTheGuestAndKnowsWhy() throws Exception {
    Connection[] ends = Connection.pair();
    try (Bench bench = new Bench(8)) {
      Thread there =
          new Thread(() -> {
            try (MigrationTarget target = MigrationTarget.accept(ends[1])) {
              target.refuse("no such machine");
              assertThrows(IOException.class, () -> bench.receive(target));
            } catch (IOException e) {
              throw new AssertionError(e);
            }
          });
      there.start();
      bench.guest.start();
      MigrationResult result = bench.source.migrate(ends[0]);
      there.join();
      assertFault(Fault.PEER_GAVE_UP, result);
      assertTrue(message(result).contains("no such machine"), message(result));
      assertEquals(End.STAYED, result.end());
      assertTrue(bench.guest.isRunning());
      assertFalse(bench.ranThere);
    }
  }

  @Test
  void check_bothEnds_talkBeforeAndAfterTheHandOver() throws Exception {
    try (Bench bench = new Bench(8)) {
      bench.source.check(messages -> {
        throw new IOException("not the same");
      });
      bench.targetCheck = Messages::receive;
      MigrationResult result = bench.migrate(1, Bench.NOTHING, Bench.NOTHING);
      bench.assertOneGuest(result);
      assertEquals("not the same", message(result));
      bench.targetCheck = null;
      result = bench.migrate(1, Bench.NOTHING, Bench.NOTHING);
      assertTrue(message(result).contains("only the source has a check"), message(result));
      assertThrows(IllegalStateException.class, bench.source::messages);
      bench.targetCheck = messages -> messages.send(messages.receive());
      bench.source.check(messages -> {
        messages.send(new byte[] {1, 2});
        assertEquals(2, messages.receive().length);
      });
      bench.assertMovesNow(1);
    }
  }

  @Test
  void accept_connectionsOfTwoMigrations_refused() throws Exception {
    byte[][] hello = new byte[2][];
    for (int i = 0; i < 2; i++) {
      java.io.ByteArrayOutputStream out = new java.io.ByteArrayOutputStream();
      Connection to = Connection.of(java.io.InputStream.nullInputStream(), out);
      try (Bench bench = new Bench(8)) {
        new SourceStream(to, i)
            .greet(
                java.util.UUID.randomUUID(),
                2,
                i == 0 ? bench.guest.ram : null,
                false,
                new byte[0]);
      }
      hello[i] = out.toByteArray();
    }
    MigrationException thrown =
        assertThrows(
            MigrationException.class,
            () -> MigrationTarget.accept(StreamTest.replay(hello[0]), StreamTest.replay(hello[1])));
    assertEquals(Fault.BAD_CONTENT, thrown.fault());
    assertTrue(String.valueOf(thrown.getMessage()).contains("does not belong"));
  }

  @Test
  void greeting_bytes_reachTheDestination() throws Exception {
    Connection[] ends = Connection.pair();
    try (Bench bench = new Bench(8)) {
      byte[] said = "a machine".getBytes(StandardCharsets.UTF_8);
      Thread there =
          new Thread(() -> {
            try (MigrationTarget target = MigrationTarget.accept(ends[1])) {
              assertEquals("a machine", new String(target.greeting(), StandardCharsets.UTF_8));
            } catch (IOException e) {
              throw new AssertionError(e);
            }
          });
      there.start();
      MigrationResult result = bench.source.greeting(said).migrate(ends[0]);
      there.join();
      assertTrue(message(result).contains("the destination was closed"), message(result));
    }
  }

  static String message(MigrationResult result) {
    return String.valueOf(java.util.Objects.requireNonNull(result.failure()).getMessage());
  }

  static void assertFault(Fault expected, MigrationResult result) {
    if (result.failure() instanceof MigrationException known) {
      assertEquals(expected, known.fault(), known.toString());
    } else {
      throw new AssertionError(result.toString(), result.failure());
    }
  }
}
