package dev.smudge.migration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.migration.DirtyRateReport.Estimate;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class DirtyRateReportTest {
  private static final long MILLI = 1_000_000;

  @Test
  void estimate_guestWithASmallWorkingSet_converges() {
    DirtyRateReport report =
        new DirtyRateReport(
            1 << 30, List.of(100 * MILLI, 1000 * MILLI), List.of(1L << 20, 1L << 20));
    Estimate estimate = report.estimate(100 << 20, Duration.ofMillis(20));
    assertTrue(estimate.converges(), estimate.toString());
    assertEquals(1, estimate.rounds());
    assertEquals(Long.MAX_VALUE, estimate.limitBytesPerSecond());
    assertEquals(10_250, (double) estimate.duration().toMillis(), 10);
    assertEquals(10, (double) estimate.downtime().toMillis(), 1);
  }

  @Test
  void estimate_guestFasterThanTheConnection_saysTheLimit() {
    DirtyRateReport report =
        new DirtyRateReport(1 << 30, List.of(1000 * MILLI), List.of(200L << 20));
    Estimate estimate = report.estimate(100 << 20, Duration.ofMillis(20));
    assertFalse(estimate.converges(), estimate.toString());
    assertEquals(50 << 20, estimate.limitBytesPerSecond());
    assertTrue(estimate.toString().contains("51,200 KiB/s"), estimate.toString());
    // Limited to that, it does.
    DirtyRateReport limited =
        new DirtyRateReport(1 << 30, List.of(1000 * MILLI), List.of(50L << 20));
    assertTrue(limited.estimate(100 << 20, Duration.ofMillis(20)).converges());
  }

  @Test
  void measure_runningGuest_countsItsPages() throws Exception {
    try (Guest guest = Guest.booted(256)) {
      guest.start();
      DirtyRateReport report = DirtyRateReport.measure(guest.ram, Duration.ofMillis(16));
      assertEquals(4, report.windowNanos().size());
      assertTrue(report.ramBytes() >= 128 * 4096, report.toString());
      while (report.dirtyBytes().get(3) == 0) { // the guest has had no core for so long
        report = DirtyRateReport.measure(guest.ram, Duration.ofMillis(16));
      }
      assertThrows(
          IllegalArgumentException.class,
          () -> DirtyRateReport.measure(guest.ram, Duration.ofMillis(1)));
    }
  }
}
