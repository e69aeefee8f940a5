package dev.smudge.migration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.migration.MigrationResult.End;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import java.time.Duration;
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
