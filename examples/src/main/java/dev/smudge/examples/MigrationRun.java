package dev.smudge.examples;

import dev.smudge.core.GuestSlot;
import dev.smudge.migration.Connection;
import dev.smudge.migration.DirtyRateReport;
import dev.smudge.migration.GuestRam;
import dev.smudge.migration.MigrationResult;
import dev.smudge.migration.MigrationResult.End;
import dev.smudge.migration.MigrationSource;
import dev.smudge.migration.MigrationSource.AtLimit;
import dev.smudge.migration.MigrationTarget;
import dev.smudge.sync.tracker.Tracker;
import java.io.IOException;
import java.io.PrintStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.time.Duration;
import java.util.ArrayList;
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

  /** The longest of the windows in which the dirty rate is measured. */
  private static final Duration WINDOW = Duration.ofMillis(400);

  /** Rounds alone bound a migration. */
  private static final Duration NO_LIMIT = Duration.ofDays(1000);

  /**
   * How to migrate.
   *
   * @param minRounds rounds while the guest runs, at least
   * @param maxRounds rounds while the guest runs, at most; the guest is stopped then
   * @param threshold so few dirty pages are left to the last round
   * @param maxDowntime a last round that is expected to take no longer is begun
   * @param streams connections, between which the pages are divided
   * @param compress whether pages are compressed
   * @param dirtyRate bytes per second of the connection for which an estimate is printed; 0: none
   * @param throttle bytes per second to which the guest's writes may be limited, at least; 0: none
   * @param warmUp how long the guest runs before
   * @param timeout how long to wait for the other end
   * @param ring entries of each vCPU's dirty ring, 0: bitmap mode
   * @param defect put in front of the source's backend, to leave things out; identity: nothing
   * @param allOutput whether to print each line of the guest as it comes
   * @param progress how to show how it goes
   */
  record Settings(
      int minRounds,
      int maxRounds,
      long threshold,
      Duration maxDowntime,
      int streams,
      boolean compress,
      long dirtyRate,
      long throttle,
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

  /** Within this JVM, through the same stream. */
  int here(Program program) throws IOException, InterruptedException {
    List<Connection> here = new ArrayList<>();
    List<Connection> there = new ArrayList<>();
    for (int i = 0; i < settings.streams; i++) {
      Connection[] ends = Connection.pair();
      here.add(ends[0]);
      there.add(ends[1]);
    }
    try (Progress none = new Progress(out, Progress.Style.NONE);
        Destination destination = new Destination(uninterrupted, output("destination"), none)) {
      Thread thread =
          Thread.ofPlatform().daemon().name("destination").start(() -> receive(destination, there));
      int status = source(program, here, destination);
      thread.join();
      return status;
    }
  }

  /** The destination in this JVM; the source tells what went wrong. */
  private static void receive(Destination destination, List<Connection> connections) {
    try (MigrationTarget from = MigrationTarget.accept(connections.toArray(Connection[]::new))) {
      destination.run(from);
    } catch (IOException | RuntimeException e) {
      return; // the source was told, or finds the connection closed
    }
  }

  /** To another JVM, which has to be there before the guest is booted. */
  int to(Program program, InetSocketAddress address) throws InterruptedException {
    List<Connection> connections = new ArrayList<>();
    try {
      for (int i = 0; i < settings.streams; i++) {
        connections.add(connect(address));
      }
    } catch (IOException e) {
      close(connections);
      err.println(
          "the guest was not booted: cannot connect to " + address + ": " + Outcome.reason(e));
      Report.verified(out, "not moved");
      return FAILED;
    }
    return source(program, connections, null);
  }

  private Connection connect(InetSocketAddress address) throws IOException {
    Socket socket = new Socket();
    try {
      socket.connect(address, Math.toIntExact(settings.timeout.toMillis()));
      return Connection.of(socket, settings.timeout);
    } catch (IOException e) {
      socket.close();
      throw e;
    }
  }

  /** From another JVM: one guest. */
  int listen(int port) throws IOException {
    List<Socket> sockets = new ArrayList<>();
    try (ServerSocket server =
            new ServerSocket(port, settings.streams, InetAddress.getLoopbackAddress());
        Progress progress = new Progress(out, settings.progress);
        Destination destination = new Destination(uninterrupted, output("destination"), progress)) {
      out.println("listening on port " + server.getLocalPort());
      out.flush();
      try (MigrationTarget from = accept(server, sockets, progress)) {
        Verdict verdict = destination.run(from);
        excerpt("destination", destination.transcript(), true);
        Report.verdict(out, "output", verdict);
        Report.verified(out, verdict.verified() ? "yes" : "NO");
        return verdict.verified() ? VERIFIED : NOT_VERIFIED;
      }
    } catch (IOException | RuntimeException e) {
      err.println("no guest was taken over, and none runs here: " + Outcome.reason(e));
      Report.verified(out, "not moved");
      return FAILED;
    } finally {
      for (Socket socket : sockets) {
        socket.close();
      }
    }
  }

  /** Waits for as long as the source takes to boot its guest; from then on, not without end. */
  private MigrationTarget accept(ServerSocket server, List<Socket> sockets, Progress progress)
      throws IOException {
    int timeout = Math.toIntExact(settings.timeout.toMillis());
    Connection[] connections = new Connection[settings.streams];
    for (int i = 0; i < connections.length; i++) {
      Socket socket;
      try {
        socket = server.accept();
      } catch (SocketTimeoutException e) {
        throw new IOException(
            "the source has made " + i + " of " + connections.length + " connections", e);
      }
      sockets.add(socket);
      connections[i] = Connection.of(socket, settings.timeout);
      server.setSoTimeout(timeout);
      socket.setSoTimeout(0);
    }
    progress.phase("connected; the source boots its guest");
    MigrationTarget from = MigrationTarget.accept(connections);
    for (Socket socket : sockets) {
      socket.setSoTimeout(timeout);
    }
    return from;
  }

  private int source(
      Program program, List<Connection> connections, @Nullable Destination destination)
      throws InterruptedException {
    Source source;
    MigrationResult result;
    Verdict afterwards = null;
    Exception failure;
    try (Progress progress = new Progress(out, settings.progress)) {
      progress.phase("booting the guest");
      boolean measured = settings.dirtyRate != 0;
      source = new Source(program, settings.ring, settings.defect, measured, output("source"));
      try (source) {
        source.start();
        progress.phase("the guest runs");
        await(source.guest().completion(), settings.warmUp);
        measure(source, progress);
        MigrationSource<GuestSlot> migration = migration(source, progress);
        result =
            migration.migrate(
                connections.getFirst(),
                connections.subList(1, connections.size()).toArray(Connection[]::new));
        failure = result.failure();
        if (result.end() == End.HANDED_OVER) {
          try {
            afterwards = Verdict.await(migration.messages(), progress);
          } catch (IOException e) {
            failure = e;
          }
        } else if (result.end() == End.STAYED) {
          progress.phase("the guest runs on at the source");
          await(source.guest().completion(), NO_LIMIT);
        }
      }
    } finally {
      close(connections);
    }
    Report.rounds(out, result.rounds());
    excerpts(source, destination);
    Verdict output = judge(program, source, result.end());
    Outcome outcome = new Outcome(source, result, output, afterwards, failure);
    outcome.print(out, err, settings.ring);
    return outcome.status();
  }

  private void excerpts(Source source, @Nullable Destination destination) {
    excerpt("source", source.transcript(), false);
    if (destination != null && destination.isRunning()) {
      excerpt("destination", destination.transcript(), true);
    }
  }

  private void measure(Source source, Progress progress) throws InterruptedException {
    GuestRam<GuestSlot> ram = source.measured();
    if (ram != null) {
      progress.phase("measuring the dirty rate");
      DirtyRateReport report = DirtyRateReport.measure(ram, WINDOW);
      ram.client().close();
      Report.dirtyRate(out, report, settings.dirtyRate, settings.maxDowntime);
    }
  }

  private MigrationSource<GuestSlot> migration(Source source, Progress progress) {
    MigrationSource<GuestSlot> migration =
        source
            .migration()
            .rounds(settings.minRounds, settings.maxRounds, settings.threshold)
            .downtimeGoal(settings.maxDowntime)
            .timeout(NO_LIMIT, AtLimit.FORCE)
            .compress(settings.compress)
            .listener(progress);
    return settings.throttle == 0 ? migration : migration.throttle(settings.throttle);
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

  private void close(List<Connection> connections) {
    for (Connection each : connections) {
      try {
        each.close();
      } catch (IOException e) {
        err.println("a connection could not be closed: " + Outcome.reason(e));
      }
    }
  }

  private Verdict judge(Program program, Source source, End end) {
    Transcript whole = uninterrupted.of(program);
    return end == End.STAYED
        ? OutputCheck.rest(whole, source.transcript(), new long[0])
        : OutputCheck.beginning(whole, source.transcript());
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
