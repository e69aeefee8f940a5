package dev.smudge.migration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.migration.MigrationResult.End;
import dev.smudge.migration.MigrationSource.AtLimit;
import dev.smudge.testbase.Seed;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.EnumMap;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A connection is cut: the guest runs on at one end, never at both, and nothing is lost. */
@Timeout(120)
class MigrationCutTest {
  private static final int PAGES = 256;

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3})
  void migrate_anyStreamCutAtManyBytes_oneGuestAndNothingLost(int streams) throws Exception {
    SplittableRandom random = Seed.random("cuts" + streams);
    for (int cut = 0; cut < streams; cut++) {
      Map<End, Integer> ends = new EnumMap<>(End.class);
      for (int i = 0; i < 10; i++) {
        long bytes = i < 5 ? i * 37L : random.nextLong(500_000L / streams);
        cutAt(streams, cut, bytes, ends);
      }
      assertTrue(ends.getOrDefault(End.STAYED, 0) >= 5, ends.toString());
    }
  }

  private static void cutAt(int streams, int cut, long bytes, Map<End, Integer> ends)
      throws Exception {
    CuttingConnection[] cutting = new CuttingConnection[1];
    Bench.Wrap wrap =
        (connection, index) -> {
          if (index != cut) {
            return connection;
          }
          cutting[0] = new CuttingConnection(connection, bytes);
          return cutting[0];
        };
    try (Bench bench = new Bench(PAGES)) {
      bench.guest.hotPages = 4; // a page that is written again hides that it was lost
      bench.guest.start();
      bench.source.rounds(2, 3, 0).timeout(Duration.ofMinutes(1), AtLimit.FORCE);
      MigrationResult result = bench.migrate(streams, wrap, Bench.NOTHING);
      bench.assertOneGuest(result);
      ends.merge(result.end(), 1, Integer::sum);
      if (cutting[0].wasCut() && result.end() == End.STAYED) {
        bench.assertMovesNow(streams);
      }
    } catch (AssertionError e) {
      throw new AssertionError("stream " + cut + " of " + streams + " after " + bytes, e);
    }
  }

  /** READY, COMMIT's answer: what comes back is cut at every byte. */
  @Test
  void migrate_answersCutAtAnyByte_oneGuest() throws Exception {
    Map<End, Integer> ends = new EnumMap<>(End.class);
    for (long bytes = 0; bytes < 160; bytes += 3) {
      long after = bytes;
      Bench.Wrap wrap =
          (connection, index) -> index == 0 ? new CuttingConnection(connection, after) : connection;
      try (Bench bench = new Bench(8)) {
        bench.guest.start();
        MigrationResult result = bench.migrate(2, Bench.NOTHING, wrap);
        if (result.end() == End.STAYED) {
          bench.assertOneGuest(result);
        }
        ends.merge(result.end(), 1, Integer::sum);
      } catch (AssertionError e) {
        throw new AssertionError("after " + bytes, e);
      }
    }
    assertTrue(ends.size() == 3, ends.toString());
  }

  /** The guest does not run, so that each migration sends the same. */
  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void migrate_cutAfterAnyFrame_oneGuest(boolean atSource) throws Exception {
    Map<End, Integer> ends = new EnumMap<>(End.class);
    byte[] whole = cutStopped(atSource, Long.MAX_VALUE, ends);
    int from = StreamLayout.PREAMBLE_SIZE;
    while (from < whole.length) {
      cutStopped(atSource, from, ends);
      from +=
          StreamLayout.HEADER_SIZE
              + ByteBuffer.wrap(whole).getInt(from + 4)
              + StreamLayout.CHECKSUM_SIZE;
    }
    assertEquals(1, ends.get(End.HANDED_OVER), ends.toString());
    assertEquals(1, ends.get(End.IN_DOUBT), ends.toString()); // before COMMIT, or RUNNING
    int stayed = ends.getOrDefault(End.STAYED, 0);
    assertTrue(atSource ? stayed >= 6 : stayed == 2, ends.toString());
  }

  /** Returns what was sent through the end that is cut. */
  private static byte[] cutStopped(boolean atSource, long bytes, Map<End, Integer> ends)
      throws Exception {
    CuttingConnection[] cutting = new CuttingConnection[1];
    Bench.Wrap wrap = (connection, index) -> cutting[0] = new CuttingConnection(connection, bytes);
    try (Bench bench = new Bench(8)) {
      MigrationResult result =
          bench.migrate(1, atSource ? wrap : Bench.NOTHING, atSource ? Bench.NOTHING : wrap);
      byte[] recorded = cutting[0].recorded();
      assertEquals(cutting[0].wasCut(), result.failure() != null, "after " + bytes);
      boolean ranThere = atSource ? result.end() == End.HANDED_OVER : result.end() != End.STAYED;
      assertEquals(ranThere, bench.ranThere, "after " + bytes);
      ends.merge(result.end(), 1, Integer::sum);
      if (result.end() == End.STAYED) {
        bench.assertMovesNow(1);
      }
      return recorded;
    }
  }

  @Test
  void bug19_sendFails_pagesOfTheBatchAreDirtyAgain() throws Exception {
    try (Bench bench = new Bench(PAGES)) {
      bench.guest.log.sync();
      long dirty = bench.guest.client.dirtyPages();
      assertEquals(PAGES / 2, dirty);
      MigrationResult result =
          bench.migrate(
              1, (connection, index) -> new CuttingConnection(connection, 200_000), Bench.NOTHING);
      assertEquals(0, result.rounds().size());
      assertEquals(dirty, bench.guest.client.dirtyPages());
      bench.assertMovesNow(1);
    }
  }
}
