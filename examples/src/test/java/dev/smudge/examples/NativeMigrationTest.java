package dev.smudge.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.GuestMemory;
import dev.smudge.migration.MigrationResult;
import dev.smudge.migration.MigrationResult.End;
import dev.smudge.sync.DirtyCounters;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Migrations of native guests within this JVM. */
@Timeout(300)
class NativeMigrationTest {
  private static final long MIB = 1 << 20;

  static Stream<Arguments> guests() {
    List<Arguments> guests = new ArrayList<>();
    for (Pattern pattern : Pattern.values()) {
      for (int vcpus = 1; vcpus <= 4; vcpus++) {
        guests.add(Arguments.of(pattern, vcpus, 0, 0));
        guests.add(Arguments.of(pattern, vcpus, 16, 0));
        guests.add(Arguments.of(pattern, vcpus, 16, vcpus % 2 == 0 ? 64 : 4096));
      }
    }
    return guests.stream();
  }

  @ParameterizedTest(name = "{0}, {1} vCPUs, TLB of {2}, rings of {3}")
  @MethodSource("guests")
  void migrate_runningGuest_verified(Pattern pattern, int vcpus, int tlb, int ring)
      throws Exception {
    NativeProgram program = Bench.program(vcpus, 8 * MIB, 4 * MIB, pattern, tlb);
    try (Bench bench = new Bench(program, ring)) {
      MigrationResult result = bench.migrateAfter(30);
      bench.assertMoved(result);
      long before = LongStream.of(bench.destination.linesBefore()).sum();
      assertEquals(bench.source.transcript().size(), before);
      assertTrue(before > 0 && bench.destination.transcript().size() > 0, "it moved while it ran");
      DirtyCounters counters = bench.source.memory().log().counters();
      assertEquals(ring != 0, counters.ringEntries() > 0, counters.toString());
    }
  }

  @Test
  void migrate_oneTebibyte_sendsWhatWasTouched() throws Exception {
    NativeProgram program = Bench.program(4, 1L << 40, 4 * MIB, Pattern.RANDOM, 16);
    try (Bench bench = new Bench(program, 0)) {
      MigrationResult result = bench.migrate(Duration.ofMillis(100));
      bench.assertMoved(result);
      assertTrue(result.rounds().getFirst().pages() <= 4 * 256 + 1);
    }
  }

  @Test
  void migrate_guestThatHasEnded_verified() throws Exception {
    NativeProgram program =
        new NativeProgram(
            2, 64 * 4096, 16 * 4096, Pattern.SEQUENTIAL, 10, 100, 20, 0, false, 16, 3);
    try (Bench bench = new Bench(program, 0)) {
      MigrationResult result = bench.migrate(Duration.ofSeconds(20));
      assertEquals(End.HANDED_OVER, result.end());
      Bench.assertVerified(bench.afterwards);
      assertEquals(0, bench.destination.transcript().size());
    }
  }

  @Test
  void program_configurationParsed_isTheSame() {
    NativeProgram program = Bench.program(3, 8 * MIB, MIB, Pattern.HOT, 16);
    assertEquals(program, Program.of(NativeProgram.KIND, program.config()));
  }

  @Test
  void program_badConfiguration_refused() {
    byte[] none = new byte[0];
    assertThrows(IllegalArgumentException.class, () -> Program.of(NativeProgram.KIND, none));
    assertThrows(IllegalArgumentException.class, () -> Program.of("other", none));
  }

  @Test
  void restore_stateOfAnotherSize_refused() {
    NativeProgram program = Bench.program(2, MIB, MIB, Pattern.HOT, 4);
    try (GuestMemory memory = GuestMemory.create()) {
      program.addSlots(memory);
      assertThrows(
          IllegalArgumentException.class,
          () -> program.restore(new Machine(memory), new byte[3], new Transcript()));
    }
  }

  @Test
  void page_allOfAllVcpus_insideAndDifferent() {
    for (long touched : new long[] {4096, MIB, 8 * MIB}) {
      NativeProgram program = Bench.program(3, 8 * MIB, touched, Pattern.RANDOM, 0);
      Set<Long> pages = new HashSet<>();
      for (int vcpu = 0; vcpu < 3; vcpu++) {
        for (long n = 0; n < program.usedPages(); n++) {
          long page = program.page(vcpu, n);
          assertTrue(page > 0 && page < 8 * MIB / 4096 && pages.add(page), "page " + page);
        }
      }
    }
  }

  @Test
  void transcript_lineMissing_differs() {
    Transcript whole = new Transcript();
    Transcript part = new Transcript();
    whole.line(0, "a");
    whole.line(0, "b");
    part.line(0, "a");
    assertEquals(null, part.differenceFrom(whole, new long[0], false));
    assertNotEquals(null, part.differenceFrom(whole, new long[0], true));
    assertNotEquals(null, part.differenceFrom(whole, new long[] {1}, false));
  }
}
