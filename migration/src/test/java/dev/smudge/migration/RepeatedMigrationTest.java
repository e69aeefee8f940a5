package dev.smudge.migration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.migration.MigrationResult.End;
import dev.smudge.snapshot.Rewind;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import java.time.Duration;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What an embedder does before a migration and after it, by the same client. */
@Timeout(60)
class RepeatedMigrationTest {
  /** What was measured is not dirty any more. */
  @Test
  void migrate_itsRateWasMeasuredByTheSameClient_allOfItMoves() throws Exception {
    try (Bench bench = new Bench(8)) {
      DirtyRateReport report = DirtyRateReport.measure(bench.guest.ram, Duration.ofMillis(8));
      assertEquals(4 * Guest.PAGE, report.ramBytes());
      bench.assertMovesNow(2);
    }
  }

  /** What has come here is dirty for all other clients. */
  @Test
  void migrate_onwardByTheClientOfTheDestination_allOfItMoves() throws Exception {
    try (Bench here = new Bench(8);
        Bench there = new Bench(8)) {
      here.assertMovesNow(3);
      Guest second = Objects.requireNonNull(here.target);
      there.source = MigrationSource.of(second.ram, second, second).rounds(1, 3, 8);
      assertEquals(End.HANDED_OVER, there.migrate(2, Bench.NOTHING, Bench.NOTHING).end());
      assertEquals("", Objects.requireNonNull(there.target).differenceFrom(second));
    }
  }

  @Test
  void of_clientOfARewind_orTheOtherWayRound_isRefused() throws Exception {
    try (Guest guest = Guest.booted(8)) {
      DirtyClient<LogSlot> states = guest.log.client("states", InitialView.ALL_DIRTY);
      Rewind<LogSlot> rewind = Rewind.over(states, guest, guest, 1 << 16);
      GuestRam<LogSlot> ram = new GuestRam<>(states, guest.slots, guest);
      assertThrows(IllegalStateException.class, () -> MigrationSource.of(ram, guest, guest));
      rewind.save();

      MigrationSource.of(guest.ram, guest, guest);
      MigrationSource.of(guest.ram, guest, guest);
      assertThrows(
          IllegalStateException.class, () -> Rewind.over(guest.client, guest, guest, 1 << 16));
    }
  }

  @Test
  void receive_withTheClientOfARewind_isRefused() throws Exception {
    try (Bench bench = new Bench(8)) {
      bench.guest.start();
      bench.rewindsThere = true;
      MigrationResult result = bench.migrate(1, Bench.NOTHING, Bench.NOTHING);
      bench.assertOneGuest(result);
      String said = String.valueOf(result.failure());
      assertTrue(said.contains("is the client of a SnapshotStore, a Rewind or a Reset"), said);
    }
  }

  /** As a loop of retries does. */
  @ParameterizedTest
  @EnumSource(
      value = End.class,
      names = {"HANDED_OVER", "IN_DOUBT"})
  void migrate_guestMayRunElsewhere_isRefused(End end) throws Exception {
    try (Bench bench = new Bench(8)) {
      bench.closeAtStart = end == End.IN_DOUBT;
      bench.guest.start();
      assertEquals(end, bench.migrate(1, Bench.NOTHING, Bench.NOTHING).end());
      assertTrue(bench.ranThere);

      bench.closeAtStart = false;
      bench.failRestore = true; // after the guest was stopped: it would be started again here
      Exception e =
          assertThrows(
              IllegalStateException.class, () -> bench.migrate(1, Bench.NOTHING, Bench.NOTHING));
      assertTrue(e.toString().contains("use another client"), e::toString);
      bench.source = bench.newSource();
      assertThrows(
          IllegalStateException.class, () -> bench.migrate(1, Bench.NOTHING, Bench.NOTHING));
      assertFalse(bench.guest.isRunning(), "it runs at both ends");

      // The embedder has found out that it does not run there.
      bench.failRestore = false;
      GuestRam<LogSlot> ram =
          new GuestRam<>(
              bench.guest.log.client("next", InitialView.ALL_DIRTY),
              bench.guest.slots,
              bench.guest);
      bench.guest.start();
      bench.source = MigrationSource.of(ram, bench.guest, bench.guest).rounds(1, 3, 8);
      bench.assertMovesNow(1);
    }
  }
}
