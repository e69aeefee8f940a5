package dev.smudge.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.examples.MigrationResult.End;
import dev.smudge.mmu.MmuTracker;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Optional;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Migrations of guests whose writes the MMU finds. Skipped, with a line that says so, where it
 * cannot; with {@code -Dsmudge.mmu=required} they fail there.
 */
@Timeout(120)
class MmuMigrationTest {
  private static final int MIB = 1 << 20;

  @BeforeAll
  static void tryMmu() {
    Optional<String> whyNot = MmuTracker.whyNot();
    if (whyNot.isPresent()) {
      assertFalse("required".equals(System.getProperty("smudge.mmu")), whyNot.get());
      System.out.println("Migrations over the MMU are skipped: " + whyNot.get());
      Assumptions.abort(whyNot.get());
    }
  }

  private static MmuProgram program(int vcpus, Pattern pattern) {
    return new MmuProgram(
        new NativeProgram(vcpus, 8 * MIB, 4 * MIB, pattern, 1000, 100, 16, 100_000, false, 16, 7));
  }

  @ParameterizedTest
  @EnumSource(Pattern.class)
  void migrate_storesWithoutMarks_verified(Pattern pattern) throws Exception {
    for (int vcpus : new int[] {1, 4}) {
      try (Bench bench = new Bench(program(vcpus, pattern), 0)) {
        MigrationResult result = bench.migrateAfter(5);
        assertNull(result.failure);
        assertEquals(End.HANDED_OVER, result.end);
        Comparison comparison = result.comparison;
        assertTrue(comparison != null && comparison.isEqual(), String.valueOf(comparison));
        Bench.assertVerified(result.destination);
        bench.assertOneGuest(result);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--guest native --vcpus 3 --calls 300 --warm-up 100",
        "--calls 8 --warm-up 500",
        "--guest native --ram 1T --calls 300 --warm-up 100"
      })
  void command_overTheMmu_isVerified(String options) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    PrintStream print = new PrintStream(out, true, StandardCharsets.UTF_8);
    int status = Migrate.run(print, print, ("--backend mmu " + options).split(" "));
    String text = out.toString(StandardCharsets.UTF_8);
    assertEquals(MigrationRun.VERIFIED, status, text);
    assertTrue(text.contains("verified"), text);
  }

  /** The check itself: a word of pages that the kernel reports and nobody is told of is missed. */
  @Test
  void migrate_pagesAreKeptFromTheLog_lossIsFoundAndGuestStays() throws Exception {
    int missing = 1; // a word of 64 pages
    UnaryOperator<Tracker> forgetful =
        real ->
            new ForwardingTracker(real) {
              @Override
              protected void collect(TrackedSlot slot, SlotTracker to, PageWordConsumer sink) {
                to.collect((word, bits) -> {
                  if (word != missing) {
                    sink.accept(word, bits);
                  }
                });
              }
            };
    try (Bench bench = new Bench(program(1, Pattern.RANDOM), 0, forgetful)) {
      MigrationResult result = bench.migrate(Duration.ofMillis(100));
      assertInstanceOf(MigrationSource.LostWritesException.class, result.failure);
      assertEquals(End.STAYED, result.end);
      bench.assertOneGuest(result);
    }
  }
}
