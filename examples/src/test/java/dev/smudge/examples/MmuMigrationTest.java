package dev.smudge.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.migration.MigrationResult;
import dev.smudge.migration.MigrationResult.End;
import dev.smudge.mmu.MmuTracker;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
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
@Timeout(600)
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
        bench.assertMoved(result);
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
    try (Bench bench = new Bench(program(1, Pattern.RANDOM), 0, ForgottenWord::new)) {
      MigrationResult result = bench.migrateAfter(20);
      assertInstanceOf(Source.LostWritesException.class, result.failure());
      assertEquals(End.STAYED, result.end());
      bench.assertOneGuest(result);
    }
  }

  /** The native guest has written all by then: one that had no time to has nothing to lose. */
  @ParameterizedTest
  @ValueSource(strings = {"--warm-up 60000 --calls 100", "--guest quickjs --calls 4 --warm-up 200"})
  void command_reportBroken_lossFoundAndShown(String options) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ByteArrayOutputStream err = new ByteArrayOutputStream();
    int status =
        Migrate.run(
            new PrintStream(out, true, StandardCharsets.UTF_8),
            new PrintStream(err, true, StandardCharsets.UTF_8),
            ("--backend mmu --break-report " + options).split(" "));
    assertEquals(MigrationRun.NOT_VERIFIED, status, out.toString(StandardCharsets.UTF_8));
    String text = out.toString(StandardCharsets.UTF_8);
    assertTrue(text.lines().toList().getLast().matches("verified +NO"), text);
    assertTrue(text.contains("writes were lost at 0x"), text);
    assertTrue(err.toString(StandardCharsets.UTF_8).contains(" pages differ"), text);
  }
}
