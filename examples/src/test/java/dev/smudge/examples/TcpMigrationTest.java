package dev.smudge.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.migration.Connection;
import dev.smudge.migration.MigrationResult;
import dev.smudge.migration.MigrationResult.End;
import dev.smudge.migration.MigrationTarget;
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
import java.util.function.UnaryOperator;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Migrations between two JVMs, of which one is killed. */
@Timeout(300)
class TcpMigrationTest {
  private static final Duration TIMEOUT = Duration.ofMinutes(1);

  /** Lines of each vCPU by which it has written its part of RAM: all of it is sent and compared. */
  private static final int WARM = 20;

  /** A guest whose whole run at the source is short too. */
  private static final NativeProgram PROGRAM =
      new NativeProgram(2, 8 << 20, 2 << 20, Pattern.RANDOM, 1000, 100, 20, 50_000, false, 16, 7);

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

  /** The source lets its guest run for longer than the destination waits for anything else. */
  @Test
  void migrate_threeStreamsAndALongWarmUp_verifiedByBoth() throws Exception {
    Process destination = command("--listen", "0", "--streams", "3", "--timeout", "3000");
    try (BufferedReader there = output(destination)) {
      String to = "localhost:" + port(there);
      String options = "--streams 3 --compress --ram 8M --warm-up 4000 --calls 4000 --to " + to;
      Process source = command(options.split(" "));
      try (BufferedReader here = output(source)) {
        List<String> lines = here.readAllLines();
        assertEquals(0, source.waitFor(), lines.toString());
        List<String> theirs = there.readAllLines();
        assertEquals(0, destination.waitFor(), theirs.toString());
      } finally {
        kill(source);
      }
    } finally {
      kill(destination);
    }
  }

  @Test
  void listen_sourceMakesFewerStreams_endsWithoutGuest() throws Exception {
    Process destination = command("--listen", "0", "--streams", "2", "--timeout", "300");
    try (BufferedReader there = output(destination);
        Socket only = new Socket(InetAddress.getLoopbackAddress(), port(there))) {
      List<String> theirs = there.readAllLines();
      assertTrue(only.isConnected());
      assertEquals(MigrationRun.FAILED, destination.waitFor(), theirs.toString());
      assertTrue(theirs.toString().contains("1 of 2 connections"), theirs.toString());
      assertTrue(theirs.toString().contains("not moved"), theirs.toString());
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
            new KillingConnection(Connection.of(socket, TIMEOUT), bytes, destination);
        Source source =
            new Source(PROGRAM, 0, UnaryOperator.identity(), false, (channel, text) -> {})) {
      source.start();
      while (LongStream.of(source.transcript().counts()).filter(lines -> lines >= WARM).count()
          < PROGRAM.vcpus()) {
        Bench.waitFor(source.guest().completion(), Duration.ofMillis(1));
      }
      MigrationResult result = source.migration().migrate(connection);
      assertEquals(End.STAYED, result.end());
      assertNotNull(result.failure());
      source.guest().completion().get();
      Bench.assertVerified(
          OutputCheck.rest(new UninterruptedRun().of(PROGRAM), source.transcript(), new long[0]));
    } finally {
      kill(destination);
    }
  }

  /** The source's JVM is killed when the destination has read so many bytes. */
  @ParameterizedTest
  @ValueSource(longs = {0, 500, 1_000_000, 3_000_000})
  void run_sourceKilled_noGuestAtTheDestination(long bytes) throws Exception {
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        Destination destination =
            new Destination(new UninterruptedRun(), (channel, text) -> {}, Bench.quiet())) {
      // Rounds without end: it is killed in one of them, or where it compares.
      String options = "--ram 8M --pattern random --min-rounds 1000000 --to localhost:";
      Process source = command((options + server.getLocalPort()).split(" "));
      try (Connection connection =
          new KillingConnection(Connection.of(server.accept(), TIMEOUT), bytes, source)) {
        assertThrows(IOException.class, () -> receive(destination, connection));
        assertFalse(destination.isRunning());
        assertEquals(0, destination.transcript().size());
        assertFalse(source.isAlive());
      } finally {
        kill(source);
      }
    }
  }

  private static void receive(Destination destination, Connection connection) throws IOException {
    try (MigrationTarget from = MigrationTarget.accept(connection)) {
      destination.run(from);
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
