package dev.smudge.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.examples.MigrationResult.End;
import java.io.BufferedReader;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Migrations over TCP, within this JVM and between two. */
@Timeout(120)
class TcpMigrationTest {
  private static final Duration TIMEOUT = Duration.ofSeconds(10);
  private static final Duration SHORT = Duration.ofMillis(300);
  private static final Duration WARM_UP = Duration.ofMillis(100);
  private static final NativeProgram PROGRAM =
      Bench.program(2, 8 << 20, 2 << 20, Pattern.RANDOM, 16);

  /** A guest whose whole run at the source is short too. */
  private static final NativeProgram SHORT_PROGRAM =
      new NativeProgram(2, 8 << 20, 2 << 20, Pattern.RANDOM, 1000, 100, 20, 50_000, false, 16, 7);

  private static Connection[] loopback() throws IOException {
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      Socket here = new Socket(server.getInetAddress(), server.getLocalPort());
      return new Connection[] {
        new SocketConnection(here, TIMEOUT), new SocketConnection(server.accept(), TIMEOUT)
      };
    }
  }

  @Test
  void migrate_overLoopback_verified() throws Exception {
    try (Bench bench =
        new Bench(PROGRAM, loopback(), UnaryOperator.identity(), UnaryOperator.identity())) {
      MigrationResult result = bench.migrate(WARM_UP);
      bench.assertOneGuest(result);
      assertEquals(End.HANDED_OVER, result.end);
      Bench.assertVerified(result.destination);
    }
  }

  @Test
  void migrate_peerNeverAnswers_timesOutAndGuestRunsOn() throws Exception {
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        MigrationSource source = Bench.source(SHORT_PROGRAM, 0);
        Connection connection =
            new SocketConnection(
                new Socket(server.getInetAddress(), server.getLocalPort()), SHORT)) {
      source.start();
      MigrationResult result = source.migrate(connection);
      assertEquals(End.STAYED, result.end);
      assertTrue(String.valueOf(result.failure).contains("nothing came"), "" + result.failure);
      source.guest().completion().get(20, TimeUnit.SECONDS);
    }
  }

  @Test
  void write_peerReadsNothing_timesOut() throws Exception {
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        Connection connection =
            new SocketConnection(
                new Socket(server.getInetAddress(), server.getLocalPort()), SHORT)) {
      byte[] much = new byte[1 << 20];
      OutputStream output = connection.output();
      IOException thrown =
          assertThrows(
              IOException.class,
              () -> {
                for (int i = 0; i < 1000; i++) {
                  output.write(much, 0, much.length);
                }
              });
      assertTrue(String.valueOf(thrown.getMessage()).contains("took no data"), "" + thrown);
    }
  }

  @Test
  void run_sourceFallsSilent_timesOutWithoutGuest() throws Exception {
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        Socket silent = new Socket(server.getInetAddress(), server.getLocalPort());
        Connection connection = new SocketConnection(server.accept(), SHORT);
        MigrationTarget target =
            new MigrationTarget(
                connection,
                new UninterruptedRun(),
                (channel, text) -> {},
                MigrationListener.NONE)) {
      assertTrue(silent.isConnected());
      assertThrows(IOException.class, target::run);
      assertFalse(target.isRunning());
    }
  }

  private static Process command(String... options) throws IOException {
    List<String> line = new ArrayList<>();
    line.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    line.addAll(List.of("-XX:TieredStopAtLevel=1", "-cp", System.getProperty("java.class.path")));
    line.add(Migrate.class.getName());
    line.addAll(List.of(options));
    return new ProcessBuilder(line).redirectErrorStream(true).start();
  }

  private static BufferedReader output(Process process) {
    return process.inputReader(StandardCharsets.UTF_8);
  }

  private static int port(BufferedReader output) throws IOException {
    String line = output.readLine();
    assertTrue(line != null && line.startsWith("listening on port "), "" + line);
    return Integer.parseInt(String.valueOf(line).substring("listening on port ".length()));
  }

  private static void kill(Process process) {
    process.destroyForcibly();
    try {
      process.waitFor();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Test
  void migrate_betweenTwoJvms_verifiedByBoth() throws Exception {
    Process destination = command("--listen", "0");
    try (BufferedReader there = output(destination)) {
      int port = port(there);
      Process source =
          command(
              "--to", "localhost:" + port, "--ram", "8M", "--warm-up", "100", "--calls", "4000");
      try (BufferedReader here = output(source)) {
        List<String> lines = here.readAllLines();
        assertEquals(0, source.waitFor(), lines.toString());
        assertTrue(lines.getLast().matches("verified +yes"), lines.toString());
        List<String> theirs = there.readAllLines();
        assertEquals(0, destination.waitFor(), theirs.toString());
        assertTrue(theirs.getLast().matches("verified +yes"), theirs.toString());
      } finally {
        kill(source);
      }
    } finally {
      kill(destination);
    }
  }

  /** The destination's JVM is killed when the source has sent so many bytes. */
  @ParameterizedTest
  @ValueSource(longs = {0, 500, 1_000_000, 3_000_000})
  void migrate_destinationKilled_guestRunsOnAtTheSource(long bytes) throws Exception {
    Process destination = command("--listen", "0");
    try (BufferedReader there = output(destination);
        Socket socket = new Socket(InetAddress.getLoopbackAddress(), port(there));
        Connection connection =
            new KillingConnection(new SocketConnection(socket, TIMEOUT), bytes, destination);
        MigrationSource source = Bench.source(SHORT_PROGRAM, 0)) {
      source.start();
      Bench.waitFor(source.guest().completion(), WARM_UP);
      MigrationResult result = source.migrate(connection);
      assertEquals(End.STAYED, result.end);
      assertNotNull(result.failure);
      source.guest().completion().get(30, TimeUnit.SECONDS);
      Bench.assertVerified(
          OutputCheck.rest(
              new UninterruptedRun().of(SHORT_PROGRAM), source.transcript(), new long[0]));
    } finally {
      kill(destination);
    }
  }

  /** The source's JVM is killed when the destination has read so many bytes. */
  @ParameterizedTest
  @ValueSource(longs = {0, 500, 1_000_000, 3_000_000})
  void run_sourceKilled_noGuestAtTheDestination(long bytes) throws Exception {
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      Process source =
          command(
              "--to", "localhost:" + server.getLocalPort(), "--ram", "8M", "--pattern", "random");
      try (Connection connection =
              new KillingConnection(new SocketConnection(server.accept(), TIMEOUT), bytes, source);
          MigrationTarget target =
              new MigrationTarget(
                  connection,
                  new UninterruptedRun(),
                  (channel, text) -> {},
                  MigrationListener.NONE)) {
        assertThrows(IOException.class, target::run);
        assertFalse(target.isRunning());
        assertEquals(0, target.transcript().size());
        assertFalse(source.isAlive());
      } finally {
        kill(source);
      }
    }
  }

  /** Kills the process at the other end when so many bytes were sent to it, or read from it. */
  private static final class KillingConnection implements Connection {
    private final Connection connection;
    private final long bytes;
    private final Process other;
    private long count;

    KillingConnection(Connection connection, long bytes, Process other) {
      this.connection = connection;
      this.bytes = bytes;
      this.other = other;
    }

    private void count(long more) {
      if (count <= bytes && count + more > bytes) {
        kill(other);
      }
      count += more;
    }

    @Override
    public InputStream input() {
      return new FilterInputStream(connection.input()) {
        @Override
        public int read(byte[] target, int from, int length) throws IOException {
          int read = super.read(target, from, length);
          count(read);
          return read;
        }
      };
    }

    @Override
    public OutputStream output() {
      return new java.io.FilterOutputStream(connection.output()) {
        @Override
        public void write(byte[] source, int from, int length) throws IOException {
          count(length);
          out.write(source, from, length);
        }
      };
    }

    @Override
    public void close() throws IOException {
      connection.close();
    }
  }
}
