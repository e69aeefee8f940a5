package dev.smudge.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.kvm.Kvm;
import dev.smudge.kvm.KvmException;
import dev.smudge.migration.MigrationResult;
import dev.smudge.migration.MigrationResult.End;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Migrations of guests of the kernel's, within this JVM. Skipped, with a line that says so, where
 * KVM cannot be used; with {@code -Dsmudge.kvm=required} they fail there.
 */
@Timeout(300)
class KvmMigrationTest {
  private static final int MIB = 1 << 20;

  @BeforeAll
  static void openKvm() {
    try {
      Kvm.open().close();
    } catch (KvmException | UnsupportedOperationException e) {
      if ("required".equals(System.getProperty("smudge.kvm"))) {
        throw e;
      }
      String reason = "Migrations over KVM are skipped, it cannot be used: " + e.getMessage();
      System.out.println(reason);
      Assumptions.abort(reason);
    }
  }

  private static KvmProgram program(int vcpus, Pattern pattern, int calls, int writes, long rate) {
    return new KvmProgram(
        new NativeProgram(vcpus, 8 * MIB, 4 * MIB, pattern, calls, writes, 1, rate, false, 0, 7));
  }

  /** Every two of pattern, vCPUs and ring; with {@code -Dsmudge.all} every three. */
  static Stream<Arguments> guests() {
    List<Arguments> guests = new ArrayList<>();
    int[] rings = {0, 256, 4096};
    Pattern[] patterns = Pattern.values();
    for (int i = 0; i < patterns.length; i++) {
      for (int j = 0; j < 3; j++) {
        for (int k = 0; k < 3; k++) {
          if (Boolean.getBoolean("smudge.all") || (i + j + k) % 3 == 0) {
            guests.add(Arguments.of(patterns[i], 1 << j, rings[k]));
          }
        }
      }
    }
    return guests.stream();
  }

  @ParameterizedTest(name = "{0}, {1} vCPUs, rings of {2}")
  @MethodSource("guests")
  void migrate_runningGuest_verified(Pattern pattern, int vcpus, int ring) throws Exception {
    try (Bench bench = new Bench(program(vcpus, pattern, 1000, 100, 100_000), ring)) {
      MigrationResult result = bench.migrateAfter(5);
      assertVerified(bench, result);
      assertEquals(ring != 0, bench.source.memory().log().counters().ringEntries() > 0);
    }
  }

  /** It never waits, so the stop finds it in the midst of a round. */
  @ParameterizedTest
  @MethodSource("rings")
  void migrate_guestAtFullSpeed_stoppedAnywhereAndVerified(int ring) throws Exception {
    try (Bench bench = new Bench(program(2, Pattern.RANDOM, 5000, 2_000, 0), ring)) {
      assertVerified(bench, bench.migrateAfter(1));
    }
  }

  static int[] rings() {
    return new int[] {0, 256};
  }

  private static void assertVerified(Bench bench, MigrationResult result) throws Exception {
    bench.assertMoved(result);
    assertTrue(
        bench.source.transcript().size() > 0 && bench.destination.transcript().size() > 0,
        "it moved while it ran");
  }

  /** The check itself: a page that the kernel reports and nobody is told of is missed. */
  @Test
  void migrate_pageIsKeptFromTheLog_lossIsFoundAndGuestStays() throws Exception {
    int missing = 1; // a word of 64 pages
    UnaryOperator<Tracker> forgetful =
        backend ->
            new ForwardingTracker(backend) {
              @Override
              protected void collect(TrackedSlot slot, SlotTracker to, PageWordConsumer sink) {
                to.collect((word, bits) -> {
                  if (slot.id() != NativeProgram.SLOT || word != missing) {
                    sink.accept(word, bits);
                  }
                });
              }
            };
    KvmProgram program = program(1, Pattern.RANDOM, 1000, 100, 100_000);
    try (Bench bench = new Bench(program, 0, forgetful)) {
      MigrationResult result = bench.migrateAfter(20);
      assertInstanceOf(Source.LostWritesException.class, result.failure());
      assertEquals(End.STAYED, result.end());
      bench.assertOneGuest(result);
    }
  }

  @Test
  void restore_stateThatIsNone_refused() {
    KvmProgram program = program(2, Pattern.HOT, 10, 10, 0);
    try (Machine machine = program.machine(DirtyLog.builder(), 0)) {
      program.addSlots(machine.memory());
      assertThrows(
          IllegalArgumentException.class,
          () -> program.restore(machine, new byte[3], new Transcript()));
    }
  }

  @Test
  void program_configurationParsed_isTheSame() {
    KvmProgram program = program(3, Pattern.HOT, 10, 10, 0);
    assertEquals(program, Program.of(KvmProgram.KIND, program.config()));
  }

  @Test
  void run_backendKvm_verifiedAndSaid() {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ByteArrayOutputStream err = new ByteArrayOutputStream();
    int status =
        Migrate.run(
            new PrintStream(out, true, StandardCharsets.UTF_8),
            new PrintStream(err, true, StandardCharsets.UTF_8),
            "--backend",
            "kvm",
            "--ring",
            "1024",
            "--warm-up",
            "100",
            "--calls",
            "3000");
    String text = out.toString(StandardCharsets.UTF_8);
    assertEquals(MigrationRun.VERIFIED, status, text + err);
    assertTrue(text.contains("of 1,024 entries"), text);
    assertEquals("", err.toString(StandardCharsets.UTF_8));
  }
}
