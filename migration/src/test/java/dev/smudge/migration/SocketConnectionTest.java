package dev.smudge.migration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.migration.MigrationResult.End;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Connections over TCP: a guest moves, and whoever falls silent is not waited for without end. */
@Timeout(60)
class SocketConnectionTest {
  private static final Duration LONG = Duration.ofSeconds(30);
  private static final Duration SHORT = Duration.ofMillis(300);

  /** One end with a limit, and the other as a socket. */
  private static final class Ends implements AutoCloseable {
    final Connection here;
    final Socket there;

    Ends(Duration timeout) throws IOException {
      try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
        here = Connection.of(new Socket(server.getInetAddress(), server.getLocalPort()), timeout);
        there = server.accept();
      }
    }

    @Override
    public void close() throws IOException {
      here.close();
      there.close();
    }
  }

  @Test
  void migrate_overLoopback_moves() throws Exception {
    try (Ends ends = new Ends(LONG);
        Bench bench = new Bench(256)) {
      Connection atTarget = Connection.of(ends.there, LONG);
      bench.guest.start();
      MigrationResult result =
          bench.migrate(1, (pipe, index) -> ends.here, (pipe, index) -> atTarget);
      assertEquals(End.HANDED_OVER, result.end(), String.valueOf(result.failure()));
      bench.assertOneGuest(result);
    }
  }

  @Test
  void migrate_peerNeverAnswers_timesOutAndGuestRunsOn() throws Exception {
    try (Ends ends = new Ends(SHORT);
        Bench bench = new Bench(8)) {
      bench.guest.start();
      MigrationResult result = bench.source.migrate(ends.here);
      assertEquals(End.STAYED, result.end());
      assertTrue(MigrationTest.message(result).contains("nothing came"), result.toString());
      assertTrue(bench.guest.isRunning());
      assertFalse(ends.there.isClosed());
    }
  }

  @Test
  void write_peerReadsNothing_timesOut() throws Exception {
    try (Ends ends = new Ends(SHORT)) {
      byte[] much = new byte[1 << 20];
      OutputStream output = ends.here.output();
      IOException thrown =
          assertThrows(
              SocketTimeoutException.class,
              () -> {
                for (int i = 0; i < 1000; i++) {
                  output.write(much, 0, much.length);
                }
              });
      assertTrue(String.valueOf(thrown.getMessage()).contains("took no data"), thrown.toString());
    }
  }

  @Test
  void accept_sourceFallsSilent_timesOut() throws Exception {
    try (Ends ends = new Ends(SHORT)) {
      ends.there.getOutputStream().write(1);
      assertThrows(SocketTimeoutException.class, () -> MigrationTarget.accept(ends.here));
    }
  }

  @Test
  void of_timeoutOutOfItsRange_refused() throws Exception {
    try (Ends ends = new Ends(SHORT)) {
      for (long millis : new long[] {-1, 0, Integer.MAX_VALUE + 1L}) {
        assertThrows(
            IllegalArgumentException.class,
            () -> Connection.of(ends.there, Duration.ofMillis(millis)));
      }
    }
  }
}
