package dev.smudge.migration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.migration.MigrationResult.End;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Whatever a connection or a guest throws, all connections are closed: the other end waits. */
@Timeout(60)
class ConnectionErrorTest {
  private static final List<Throwable> ANY =
      List.of(
          new IllegalStateException("of a connection"),
          new InstantiationException("of a connection in another language"),
          new OutOfMemoryError("of a connection"));

  /** One that cannot be read, and does not like to be closed either. */
  private static final class Broken implements Connection {
    private final Throwable error;
    private boolean closed;

    Broken(Throwable error) {
      this.error = error;
    }

    @Override
    public InputStream input() {
      Guest.<RuntimeException>sneak(error);
      throw new AssertionError(error);
    }

    @Override
    public OutputStream output() {
      return OutputStream.nullOutputStream();
    }

    @Override
    public void close() {
      closed = true;
      throw new IllegalStateException("of the close of a connection");
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2})
  void accept_connectionThrowsAnything_allAreClosed(int index) {
    Broken[] all = {new Broken(ANY.get(index)), new Broken(ANY.get(index))};
    assertEquals(ANY.get(index), assertThrows(Throwable.class, () -> MigrationTarget.accept(all)));
    assertTrue(all[0].closed && all[1].closed);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2})
  void migrate_connectionThrowsAnything_staysAndAllAreClosed(int index) throws Exception {
    Throwable error = ANY.get(index);
    Broken[] all = {new Broken(error), new Broken(error)};
    try (Bench bench = new Bench(8)) {
      bench.guest.start();
      if (error instanceof Error) {
        assertThrows(error.getClass(), () -> bench.source.migrate(all[0], all[1]));
      } else {
        MigrationResult result = bench.source.migrate(all[0], all[1]);
        assertEquals(End.STAYED, result.end());
        Exception failure = Objects.requireNonNull(result.failure());
        assertTrue(failure.equals(error) || error.equals(failure.getCause()), failure.toString());
      }
      assertTrue(all[0].closed && all[1].closed);
      assertTrue(bench.guest.isRunning());
      bench.assertMovesNow(2);
    }
  }

  /** Its limit cannot be taken away again, and the destination waits for pages. */
  @Test
  void migrate_limitThrows_connectionsAreClosed() throws Exception {
    try (Bench bench = new Bench(512)) {
      bench.guest.start();
      MigratingGuest limitless =
          new MigratingGuest() {
            @Override
            public void start() {
              bench.guest.start();
            }

            @Override
            public void stop() throws InterruptedException {
              bench.guest.stop();
            }

            @Override
            public void limitDirtyRate(long bytesPerSecond) {
              throw new IllegalStateException("no limit here");
            }
          };
      MigrationSource<dev.smudge.sync.LogSlot> source = bench.source;
      bench.source =
          MigrationSource.of(bench.guest.ram, bench.guest, limitless)
              .rounds(1, 40, 0)
              .downtimeGoal(java.time.Duration.ofMillis(1))
              .throttle(64 << 10);
      assertThrows(
          IllegalStateException.class,
          () ->
              bench.attempt(
                  1,
                  (connection, i) -> new SlowConnection(connection, 8 << 20),
                  Bench.NOTHING,
                  (first, more) -> {
                    try {
                      bench.source.migrate(first, more);
                    } finally {
                      assertThrows(java.io.IOException.class, () -> first.output().write(1));
                    }
                  }));
      assertInstanceOf(MigrationException.class, bench.targetFailure);
      bench.source = source;
      bench.assertMovesNow(2);
    }
  }
}
