package dev.smudge.examples;

import dev.smudge.examples.MigrationResult.End;
import dev.smudge.sync.tracker.Tracker;
import java.io.IOException;
import java.io.PrintStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/** One run of the command: the migration, what is checked of it, and what is printed. */
final class MigrationRun {
  static final int VERIFIED = 0;
  static final int NOT_VERIFIED = 1;
  static final int USAGE = 2;
  static final int FAILED = 3;

  /** Lines of the guest that are shown on either side of the switch-over. */
  private static final int EXCERPT = 2;

  /**
   * How to migrate.
   *
   * @param convergence when to stop the guest
   * @param warmUp how long it runs before
   * @param timeout how long to wait for the other end
   * @param ring entries of each vCPU's dirty ring, 0: bitmap mode
   * @param defect put in front of the source's backend, to leave things out; identity: nothing
   * @param allOutput whether to print each line of the guest as it comes
   * @param progress how to show how it goes
   */
  record Settings(
      Convergence convergence,
      Duration warmUp,
      Duration timeout,
      int ring,
      UnaryOperator<Tracker> defect,
      boolean allOutput,
      Progress.Style progress) {}

  private final Settings settings;
  private final PrintStream out;
  private final PrintStream err;
  private final UninterruptedRun uninterrupted = new UninterruptedRun();

  MigrationRun(Settings settings, PrintStream out, PrintStream err) {
    this.settings = settings;
    this.out = out;
    this.err = err;
  }

  /** Makes the connection, when the guest has run for a while. */
  @FunctionalInterface
  private interface Connector {
    Connection connect() throws IOException;
  }

  /** Within this JVM, through the same stream. */
  int here(Program program) throws IOException, InterruptedException {
    Connection[] ends = Connection.pair();
    try (Connection there = ends[1];
        MigrationTarget target =
            new MigrationTarget(
                there, uninterrupted, output("destination"), MigrationListener.NONE)) {
      Thread thread =
          Thread.ofPlatform().daemon().name("destination").start(() -> receive(target, there));
      int status = source(program, () -> ends[0], target);
      thread.join();
      return status;
    }
  }

  /** The destination in this JVM; the source tells what went wrong. */
  private static void receive(MigrationTarget target, Connection connection) {
    try (connection) {
      target.run();
    } catch (IOException | RuntimeException e) {
      return; // the source was told, or finds the connection closed
    }
  }

  /** To another JVM. */
  int to(Program program, InetSocketAddress address) throws IOException, InterruptedException {
    Connector connector =
        () -> {
          Socket socket = new Socket();
          try {
            socket.connect(address, Math.toIntExact(settings.timeout.toMillis()));
            return new SocketConnection(socket, settings.timeout);
          } catch (IOException e) {
            socket.close();
            throw new IOException("cannot connect to " + address + ": " + e.getMessage(), e);
          }
        };
    return source(program, connector, null);
  }

  /** From another JVM: one guest. */
  int listen(int port) throws IOException {
    try (ServerSocket server = new ServerSocket(port, 1, InetAddress.getLoopbackAddress())) {
      out.println("listening on port " + server.getLocalPort());
      out.flush();
      Progress progress = new Progress(out, settings.progress);
      try (Socket socket = server.accept();
          Connection connection = new SocketConnection(socket, settings.timeout);
          MigrationTarget target =
              new MigrationTarget(connection, uninterrupted, output("destination"), progress)) {
        return received(target);
      }
    }
  }

  private int received(MigrationTarget target) {
    try {
      Verdict verdict = target.run();
      excerpt("destination", target.transcript(), true);
      Report.verdict(out, "output", verdict);
      Report.verified(out, verdict.verified());
      return verdict.verified() ? VERIFIED : NOT_VERIFIED;
    } catch (IOException | RuntimeException e) {
      err.println("no guest was taken over, and none runs here: " + reason(e));
      return FAILED;
    }
  }

  private int source(Program program, Connector connector, @Nullable MigrationTarget target)
      throws InterruptedException {
    MigrationResult result;
    MigrationSource source;
    try (Progress progress = new Progress(out, settings.progress)) {
      progress.phase("booting the guest");
      source =
          new MigrationSource(
              program,
              settings.convergence,
              settings.ring,
              settings.defect,
              output("source"),
              progress);
      try (source) {
        source.start();
        progress.phase("the guest runs");
        await(source.guest().completion(), settings.warmUp);
        result = connectAndMigrate(source, connector);
        if (result.end == End.STAYED) {
          progress.phase("the guest runs on at the source");
          await(source.guest().completion(), Duration.ofDays(365));
        }
      }
    }
    return report(program, source, result, target);
  }

  private static MigrationResult connectAndMigrate(MigrationSource source, Connector connector)
      throws InterruptedException {
    try (Connection connection = connector.connect()) {
      return source.migrate(connection);
    } catch (IOException e) {
      MigrationResult result = new MigrationResult();
      result.failure = e;
      return result;
    }
  }

  /** Waits for the guest's end, or so long. Failures of the guest are seen by the migration. */
  private static void await(CompletableFuture<@Nullable Void> completion, Duration limit)
      throws InterruptedException {
    try {
      completion.get(limit.toNanos(), TimeUnit.NANOSECONDS);
    } catch (TimeoutException | ExecutionException e) {
      return;
    }
  }

  private int report(
      Program program,
      MigrationSource source,
      MigrationResult result,
      @Nullable MigrationTarget target) {
    Report.rounds(out, result.rounds);
    excerpt("source", source.transcript(), false);
    if (target != null && target.isRunning()) {
      excerpt("destination", target.transcript(), true);
    }
    Verdict output = judge(program, source, result.end);
    facts(source, result, output);
    boolean handedOver = result.end == End.HANDED_OVER;
    Verdict destination = result.destination;
    boolean verified =
        handedOver
            && result.failure == null
            && output.verified()
            && destination != null
            && destination.verified()
            && source.lateWrites().isEmpty();
    source.lateWrites().forEach(e -> err.println("after the stop: " + e.getMessage()));
    Report.verified(out, verified);
    out.flush();
    Exception failure = result.failure;
    if (failure != null) {
      err.println(explain(result.end) + reason(failure));
    }
    if (verified) {
      return VERIFIED;
    }
    boolean lost = failure instanceof MigrationSource.LostWritesException;
    return handedOver || lost ? NOT_VERIFIED : FAILED;
  }

  private Verdict judge(Program program, MigrationSource source, End end) {
    Transcript whole = uninterrupted.of(program);
    return end == End.STAYED
        ? OutputCheck.rest(whole, source.transcript(), new long[0])
        : OutputCheck.beginning(whole, source.transcript());
  }

  private void facts(MigrationSource source, MigrationResult result, Verdict output) {
    if (result.downtimeNanos > 0) {
      Report.fact(
          out,
          "downtime",
          String.format(
              Locale.ROOT,
              "%.2f ms: the guest stopped in %.2f ms, the last round took %.2f ms, the rest until it"
                  + " ran %.2f ms",
              result.downtimeNanos / 1e6,
              result.stopNanos / 1e6,
              result.lastRoundNanos / 1e6,
              (result.downtimeNanos - result.stopNanos - result.lastRoundNanos) / 1e6));
    }
    if (settings.ring != 0) {
      Report.rings(out, settings.ring, source.memory().log().counters(), source.ringFullWaits());
    }
    Comparison comparison = result.comparison;
    if (comparison != null) {
      Report.fact(
          out,
          "RAM at switch-over",
          comparison
              + String.format(
                  Locale.ROOT, " (%.0f ms, not counted)", result.comparisonNanos / 1e6));
    }
    Report.verdict(out, result.end == End.STAYED ? "output" : "output before", output);
    if (result.end == End.HANDED_OVER) {
      if (source.guest().completion().isDone()) {
        Report.fact(out, "note", "the program had ended when it moved: let it run for longer");
      }
      Report.verdict(out, "output afterwards", result.destination);
    }
  }

  private static String explain(End end) {
    return switch (end) {
      case STAYED -> "the guest stayed at the source and ran on there: ";
      case HANDED_OVER -> "handed over, but what became of it is not known: ";
      case IN_DOUBT ->
          "the connection was lost at the hand-over: the destination may run the guest, so it stays"
              + " stopped here: ";
    };
  }

  private static String reason(Exception e) {
    String reason = e.getMessage() == null ? e.toString() : e.getMessage();
    for (Throwable more : e.getSuppressed()) {
      if (more instanceof StreamException known
          && known.fault() == StreamException.Fault.PEER_GAVE_UP) {
        return reason + "; " + known.getMessage();
      }
    }
    return reason;
  }

  private GuestOutput output(String where) {
    if (!settings.allOutput) {
      return (channel, text) -> {};
    }
    return (channel, text) -> out.printf(Locale.ROOT, "%-11s | %s%n", where, text);
  }

  /** A few lines of the guest, from the end that is nearest to the switch-over. */
  private void excerpt(String where, Transcript transcript, boolean first) {
    if (settings.allOutput) {
      return;
    }
    for (int channel = 0; channel < transcript.channelCount(); channel++) {
      List<String> lines = transcript.lines(channel);
      int count = Math.min(EXCERPT, lines.size());
      List<String> shown =
          first ? lines.subList(0, count) : lines.subList(lines.size() - count, lines.size());
      shown.forEach(line -> out.printf(Locale.ROOT, "%-11s | %s%n", where, line));
      if (channel == 3 && transcript.channelCount() > 4) {
        out.printf(Locale.ROOT, "%-11s | ... and %d more%n", where, transcript.channelCount() - 4);
        return;
      }
    }
  }
}
