package dev.smudge.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.examples.MigrationResult.End;
import java.io.IOException;
import java.time.Duration;
import java.util.EnumMap;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The connection is cut: the guest runs on at one end, and never at both. */
@Timeout(120)
class MigrationFailureTest {
  private static final Duration WARM_UP = Duration.ofMillis(2);

  @Test
  void migrate_cutAfterAnyFrameOfTheSource_oneGuest() throws Exception {
    Map<End, Integer> ends = new EnumMap<>(End.class);
    boolean cut = true;
    for (int frames = 0; cut; frames++) {
      int after = frames;
      CuttingConnection[] cutting = new CuttingConnection[1];
      UnaryOperator<Connection> wrap =
          connection -> cutting[0] = CuttingConnection.afterFrames(connection, after, () -> {});
      try (Bench bench = new Bench(Bench.small(), wrap, UnaryOperator.identity())) {
        MigrationResult result = bench.migrate(WARM_UP);
        bench.assertOneGuest(result);
        cut = cutting[0].wasCut();
        assertEquals(cut, result.failure != null, "after " + frames + " frames");
        ends.merge(result.end, 1, Integer::sum);
      }
    }
    assertTrue(ends.getOrDefault(End.STAYED, 0) >= 8, ends.toString());
    assertEquals(1, ends.get(End.HANDED_OVER), ends.toString());
  }

  @Test
  void migrate_cutAfterAnyFrameOfTheDestination_oneGuest() throws Exception {
    Map<End, Integer> ends = new EnumMap<>(End.class);
    boolean cut = true;
    for (int frames = 0; cut; frames++) {
      int after = frames;
      CuttingConnection[] cutting = new CuttingConnection[1];
      UnaryOperator<Connection> wrap =
          connection -> cutting[0] = CuttingConnection.afterFrames(connection, after, () -> {});
      try (Bench bench = new Bench(Bench.small(), UnaryOperator.identity(), wrap)) {
        MigrationResult result = bench.migrate(WARM_UP);
        bench.assertOneGuest(result);
        cut = cutting[0].wasCut();
        ends.merge(result.end, 1, Integer::sum);
        End expected = frames < 3 ? End.STAYED : frames == 3 ? End.IN_DOUBT : End.HANDED_OVER;
        assertEquals(expected, result.end, "after " + frames + " frames");
      }
    }
    assertEquals(3, ends.get(End.STAYED), ends.toString());
  }

  @Test
  void migrate_cutAtRandomByte_oneGuest() throws Exception {
    long seed = new Random().nextLong();
    Random random = new Random(seed);
    for (int i = 0; i < 40; i++) {
      long bytes = random.nextInt(100_000);
      UnaryOperator<Connection> wrap =
          connection -> CuttingConnection.afterBytes(connection, bytes, () -> {});
      try (Bench bench = new Bench(Bench.small(), wrap, UnaryOperator.identity())) {
        bench.assertOneGuest(bench.migrate(WARM_UP));
      } catch (AssertionError e) {
        throw new AssertionError("seed " + seed + ", after " + bytes + " bytes", e);
      }
    }
  }

  @Test
  void bug19_sendFails_pagesOfTheBatchAreDirtyAgain() throws Exception {
    NativeProgram program =
        new NativeProgram(1, 1 << 20, 1 << 19, Pattern.SEQUENTIAL, 100, 100, 20, 0, false, 16, 3);
    UnaryOperator<Connection> wrap =
        connection -> CuttingConnection.afterBytes(connection, 200_000, () -> {});
    try (Bench bench = new Bench(program, wrap, UnaryOperator.identity())) {
      bench.source.start();
      bench.source.guest().completion().get(20, TimeUnit.SECONDS);
      bench.source.memory().log().sync();
      long dirty = bench.source.client().dirtyPages();
      assertTrue(dirty > 100, dirty + " pages");
      MigrationResult result = bench.source.migrate(bench.atSource);
      assertNotNull(result.failure);
      assertEquals(0, result.rounds.size());
      assertEquals(dirty, bench.source.client().dirtyPages());
    }
  }

  @Test
  void migrate_destinationRefuses_saysWhy() throws Exception {
    Connection[] ends = Connection.pair();
    Thread destination =
        Thread.ofPlatform()
            .daemon()
            .start(() -> {
              try (Connection there = ends[1]) {
                new FrameWriter(there.output()).send(FrameType.REFUSED, "no room");
              } catch (IOException e) {
                throw new AssertionError(e);
              }
            });
    destination.join();
    try (MigrationSource source = Bench.source(Bench.small(), 0);
        Connection here = ends[0]) {
      source.start();
      MigrationResult result = source.migrate(here);
      assertEquals(End.STAYED, result.end);
      Exception failure = assertNotNullFailure(result);
      String all = failure + " " + java.util.Arrays.toString(failure.getSuppressed());
      assertTrue(all.contains("no room"), all);
    }
  }

  private static Exception assertNotNullFailure(MigrationResult result) {
    Exception failure = result.failure;
    if (failure == null) {
      throw new AssertionError("it did not fail");
    }
    return failure;
  }
}
