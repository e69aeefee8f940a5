package dev.smudge.migration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.migration.MigrationResult.End;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What a machine does when it is asked for its state. */
@Timeout(60)
class MachineStateTest {
  @Test
  void migrate_stateLongerThanTheDestinationTakes_staysAndSaysWhy() throws Exception {
    try (Bench bench = new Bench(16)) {
      bench.guest.start();
      bench.stateLimit = 7; // it has 8
      MigrationResult result = bench.migrate(2, Bench.NOTHING, Bench.NOTHING);
      assertEquals(End.STAYED, result.end());
      bench.assertOneGuest(result);
      Exception failure = Objects.requireNonNull(result.failure());
      List<Throwable> all = new ArrayList<>(List.of(failure.getSuppressed()));
      all.add(failure); // or a broken pipe, which has what the destination said before it closed it
      String why = "the state of the machine has more than 7 bytes";
      assertTrue(all.stream().anyMatch(said -> said.toString().endsWith(why)), all.toString());
      bench.stateLimit = 8;
      bench.assertMovesNow(2);
    }
  }

  /** As one that drains a queue does. */
  @Test
  void migrate_saveOfTheMachineWritesRam_isAtTheDestination() throws Exception {
    try (Bench bench = new Bench(16)) {
      Guest guest = bench.guest;
      byte[] page = new byte[Guest.PAGE];
      page[5] = 77;
      guest.atSave =
          () -> {
            guest.write(guest.slots.get(1), 3, page);
            guest.log.mark(guest.slots.get(1), 3 * Guest.PAGE + 5, 1);
          };
      MigrationResult result = bench.migrate(2, Bench.NOTHING, Bench.NOTHING);
      assertEquals(End.HANDED_OVER, result.end(), String.valueOf(result.failure()));
      bench.assertSame();
    }
  }
}
