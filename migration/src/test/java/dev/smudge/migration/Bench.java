package dev.smudge.migration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.migration.MigrationResult.End;
import dev.smudge.migration.MigrationSource.AtLimit;
import dev.smudge.snapshot.Rewind;
import dev.smudge.sync.LogSlot;
import java.io.IOException;
import java.time.Duration;
import java.util.Arrays;
import java.util.function.BiFunction;
import org.jspecify.annotations.Nullable;

/** A source that runs, and a destination for each attempt. */
final class Bench implements AutoCloseable {
  /** Puts something in front of the connection of a stream. */
  interface Wrap extends BiFunction<Connection, Integer, Connection> {}

  static final Wrap NOTHING = (connection, index) -> connection;

  final Guest guest;
  MigrationSource<LogSlot> source;
  @Nullable Guest target;
  @Nullable Exception targetFailure;
  boolean ranThere;
  boolean failRestore;
  boolean failStart;
  Throwable startFailure = new IllegalStateException("no processor is free");
  boolean closeAtStart;
  int stateLimit = 1 << 30;
  boolean rewindsThere;
  Runnable atStart = () -> {};
  Messages.@Nullable Handler targetCheck;

  Bench(int pages) {
    guest = Guest.booted(pages);
    source = newSource();
  }

  /** One whose guest is stopped in the end, however slowly its pages are sent. */
  MigrationSource<LogSlot> newSource() {
    return MigrationSource.of(guest.ram, guest, guest)
        .rounds(1, 20, 0)
        .timeout(Duration.ofMinutes(1), AtLimit.FORCE);
  }

  /** The guest makes most pages dirty again in each of so many rounds, also if it has no core. */
  MigrationListener writesInRounds(int rounds) {
    return new MigrationListener() {
      @Override
      public void roundEnds(Round round) {
        if (!round.last() && round.number() <= rounds) {
          guest.awaitWrites(1_000);
        }
      }
    };
  }

  /** What the source does with its connections. */
  interface Attempt {
    void migrate(Connection first, Connection[] more) throws Exception;
  }

  /** One attempt, through so many connections. */
  MigrationResult migrate(int streams, Wrap atSource, Wrap atTarget) throws Exception {
    MigrationResult[] result = new MigrationResult[1];
    attempt(streams, atSource, atTarget, (first, more) -> result[0] = source.migrate(first, more));
    return result[0];
  }

  /** One attempt, whatever it throws. */
  void attempt(int streams, Wrap atSource, Wrap atTarget, Attempt attempt) throws Exception {
    Connection[] here = new Connection[streams];
    Connection[] there = new Connection[streams];
    for (int i = 0; i < streams; i++) {
      Connection[] ends = Connection.pair();
      here[i] = atSource.apply(ends[0], i);
      there[streams - 1 - i] = atTarget.apply(ends[1], i); // in another order
    }
    target = null;
    targetFailure = null;
    ranThere = false;
    Thread thread = new Thread(() -> receive(there), "destination");
    thread.setDaemon(true);
    thread.start();
    try {
      attempt.migrate(here[0], Arrays.copyOfRange(here, 1, streams));
    } finally {
      for (Connection each : here) { // those that an error has kept the source from closing
        each.close();
      }
      thread.join();
    }
  }

  @SuppressWarnings("try") // closes a destination in the middle
  private void receive(Connection[] connections) {
    try (MigrationTarget in = MigrationTarget.accept(connections)) {
      receive(in);
    } catch (Throwable e) {
      targetFailure = e instanceof Exception known ? known : new IllegalStateException(e);
    }
  }

  void receive(MigrationTarget in) throws IOException {
    Guest made = new Guest(in.slots());
    made.failing = failRestore;
    target = made;
    if (rewindsThere) {
      Rewind.over(made.client, made, made, 1 << 16);
    }
    in.stateLimit(stateLimit)
        .receive(
            made.ram,
            made,
            targetCheck,
            () -> {
              if (failStart) {
                Guest.<RuntimeException>sneak(startFailure);
              }
              ranThere = true;
              atStart.run();
              if (closeAtStart) {
                in.close(); // as another thread would at this moment
              }
            });
  }

  /** The guest is at one end, and what is there is what the source had. */
  void assertOneGuest(MigrationResult result) throws Exception {
    if (result.end() == End.HANDED_OVER) {
      assertTrue(ranThere);
      assertFalse(guest.isRunning());
      assertSame();
    } else if (result.end() == End.STAYED) {
      assertFalse(ranThere);
      assertNotNull(result.failure());
      assertNotNull(targetFailure, "the destination does not say why");
      assertTrue(guest.isRunning(), "the guest does not run on");
    } else {
      assertNotNull(result.failure());
      assertFalse(guest.isRunning());
    }
  }

  /** Nothing was lost by what failed before: another attempt brings all. */
  void assertMovesNow(int streams) throws Exception {
    MigrationResult result = migrate(streams, NOTHING, NOTHING);
    assertEquals(End.HANDED_OVER, result.end(), String.valueOf(result.failure()));
    assertOneGuest(result);
  }

  void assertSame() {
    Guest there = target;
    assertNotNull(there);
    assertEquals("", there.differenceFrom(guest));
  }

  @Override
  public void close() {
    guest.close();
    Guest there = target;
    if (there != null) {
      there.close();
    }
  }
}
