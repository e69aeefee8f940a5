package dev.smudge.examples;

import dev.smudge.kvm.KvmException;
import dev.smudge.ring.DirtyRing;
import java.io.Console;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.net.InetSocketAddress;
import java.util.Locale;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The command {@code migrate}: moves a running guest, and checks that nothing of it was lost. */
@Command(
    name = "migrate",
    mixinStandardHelpOptions = false,
    sortOptions = false,
    usageHelpWidth = 100,
    synopsisHeading = "%n",
    customSynopsis = {
      "migrate [options]                     both ends in this JVM",
      "migrate --listen PORT                 be the destination",
      "migrate --to HOST:PORT [options]      be the source"
    },
    header = "Moves a running guest from one memory to another, and checks that no write was lost.",
    description = {
      "",
      "The guest runs in threads of its own. Its dirty pages are sent in rounds while it"
          + " runs: each round takes the pages that were written since the round before, clears"
          + " their dirty bits, waits for the after-sync barrier, and only then reads them. When"
          + " few are left, the guest is stopped, and the last pages and its registers follow. Then"
          + " the RAM of both ends is compared byte for byte, the destination runs the guest to its"
          + " end, and the guest's output is compared with that of an uninterrupted run.",
      ""
    },
    optionListHeading = "%nOptions:%n",
    footerHeading = "%nExamples:%n",
    footer = {
      "  migrate --calls 60 --output",
      "      The JavaScript guest; prints each of its lines, and whether source or destination ran"
          + " it.",
      "  migrate --guest native --vcpus 4 --ram 1T",
      "      Four vCPUs in 1 TiB of RAM, of which they touch 64 MiB: only those are sent.",
      "  migrate --ring 4096",
      "      The JavaScript guest, with a dirty ring; the report says how full it was.",
      "  migrate --backend kvm --ring 4096",
      "      A KVM guest, whose dirty pages the kernel reports in its own rings.",
      "  migrate --backend mmu --guest native --vcpus 4",
      "      No store is marked: the kernel finds the writes through the page tables.",
      "  migrate --break-barrier",
      "      Leaves the barrier out: writes are lost, and the comparison says where.",
      "  migrate --backend mmu --break-report",
      "      Leaves out some of the pages that the kernel reports, with the same effect.",
      "  migrate --dirty-rate 100M",
      "      First estimates the migration over a connection of 100 MiB per second.",
      "  migrate --listen 7001 &   migrate --to localhost:7001 --output",
      "      From one JVM to another; each JVM prints the lines that the guest printed in it.",
      "",
      "Without Maven, on Java 25, after a build that makes the jar:",
      "  mvn -q -ntp -Dfast=all -Dmaven.test.skip -Pjar -pl examples -am package",
      "  java -jar examples/target/smudge-examples-0.1.0-SNAPSHOT.jar --help",
      "",
      "Exit status, and the last line of the report, 'verified':",
      "  0  yes: the guest moved, and no write was lost.",
      "  1  NO: RAM or the guest's output differs. If RAM differs, the guest stays.",
      "  2  The options are wrong; nothing was begun.",
      "  3  not moved: the migration failed, and the guest stayed at the source.",
      "  3  not known: the connection was lost at the hand-over, and the source keeps its guest"
          + " stopped."
    })
public final class Migrate implements Callable<Integer> {
  /** Entries that fill a page. */
  private static final int MIN_KVM_RING = 256;

  @Spec private @Nullable CommandSpec spec;

  private final PrintStream out;
  private final PrintStream err;

  @Mixin private final NativeOptions nativeOptions = new NativeOptions();
  @Mixin private final MigrationOptions migrationOptions = new MigrationOptions();

  private @Nullable String guest;
  private @Nullable String backend;
  private @Nullable InetSocketAddress to;
  private int listen = -1;
  private int ring; // 0: bitmap mode
  private Progress.@Nullable Style progress;

  @Option(
      names = {"-h", "--help"},
      order = 1,
      usageHelp = true,
      description = "Print this.")
  @SuppressWarnings("UnusedVariable") // picocli's
  private boolean help;

  @Option(
      names = "--break-barrier",
      order = 60,
      description =
          "Leave the after-sync barrier out, to see that the comparison finds the loss. Options of"
              + " the native guest that are not given are chosen so that writes are lost; with"
              + " other options a lost page may be written, and sent, again.")
  private boolean breakBarrier;

  @Option(
      names = "--break-report",
      order = 60,
      description =
          "mmu: ignore every other 64 pages that the kernel reports, to see that the comparison"
              + " finds the loss.")
  private boolean breakReport;

  @Option(
      names = "--output",
      order = 61,
      description = "Print every line of the guest as it comes, and which end ran the guest then.")
  private boolean output;

  private Migrate(PrintStream out, PrintStream err) {
    this.out = out;
    this.err = err;
  }

  /**
   * Runs the command and ends the JVM with its exit status.
   *
   * @param args the options
   */
  public static void main(String[] args) {
    System.exit(run(System.out, System.err, args));
  }

  /** Runs the command; returns its exit status. */
  static int run(PrintStream out, PrintStream err, String... args) {
    Migrate migrate = new Migrate(out, err);
    return new CommandLine(migrate)
        .setOut(new PrintWriter(out, true, out.charset()))
        .setErr(new PrintWriter(err, true, err.charset()))
        .setOverwrittenOptionsAllowed(false)
        .setParameterExceptionHandler((e, arguments) -> {
          err.println("migrate: " + oneLine(e) + " (--help explains the options)");
          return MigrationRun.USAGE;
        })
        .setExecutionExceptionHandler((e, command, result) -> {
          String lacks = e instanceof UnsupportedOperationException ? migrate.backend : null;
          lacks = e instanceof KvmException ? KvmProgram.KIND : lacks;
          err.println(
              "migrate: failed: "
                  + (lacks == null
                      ? e
                      : "no " + lacks.toUpperCase(Locale.ROOT) + " here: " + e.getMessage()));
          if (lacks != null) {
            Report.verified(out, "not moved"); // no guest was made
          }
          return MigrationRun.FAILED;
        })
        .execute(args);
  }

  private static String oneLine(ParameterException e) {
    return String.valueOf(e.getMessage()).lines().findFirst().orElse("wrong options");
  }

  @Option(
      names = "--guest",
      order = 10,
      paramLabel = "quickjs|native",
      description =
          "The guest: quickjs, a third-party JavaScript parser in QuickJS on WebAssembly; or"
              + " native, writers in Java for load and scale. Default: quickjs; native with an"
              + " option --break-..., or with any option of the native guest.")
  void setGuest(String value) {
    guest = values("--guest").choice(value, QuickJsProgram.KIND, NativeProgram.KIND);
  }

  @Option(
      names = "--backend",
      order = 11,
      paramLabel = "software|mmu|kvm",
      description =
          "What finds writes: software marks; mmu, the Linux kernel, through the"
              + " page tables of the source, where the native guest then marks no"
              + " store; or kvm, which runs x86-64 code of this program as the guest, and"
              + " needs /dev/kvm at both ends. Default: software.")
  void setBackend(String value) {
    backend = values("--backend").choice(value, "software", MmuProgram.BACKEND, KvmProgram.KIND);
  }

  @Option(
      names = "--to",
      order = 40,
      paramLabel = "HOST:PORT",
      description = "Migrate to another JVM, which listens there.")
  void setTo(String value) {
    int colon = value.lastIndexOf(':');
    if (colon < 1) {
      throw values("--to").bad(value, "HOST:PORT, such as localhost:7001");
    }
    int port = (int) values("--to").number(value.substring(colon + 1), 1, 65_535);
    to = new InetSocketAddress(value.substring(0, colon), port);
    if (Objects.requireNonNull(to).isUnresolved()) {
      throw values("--to").bad(value, "HOST:PORT of a host that can be found");
    }
  }

  @Option(
      names = "--listen",
      order = 41,
      paramLabel = "0..65535",
      description =
          "Wait on this port of the loopback interface for one guest, and run it; 0: any free port,"
              + " which is printed.")
  void setListen(String value) {
    listen = (int) values("--listen").number(value, 0, 65_535);
  }

  @Option(
      names = "--ring",
      order = 45,
      paramLabel = "ENTRIES",
      description =
          "Have each vCPU report its dirty pages in a ring of this many entries, a power of two"
              + " from 2 to 65536, instead of a bitmap. A vCPU whose ring is full waits, at a"
              + " safepoint, until the ring is emptied. With kvm at least 256, which fill a page.")
  void setRing(String value) {
    Values values = values("--ring");
    ring = (int) values.number(value, DirtyRing.MIN_ENTRIES, DirtyRing.MAX_ENTRIES);
    if (Integer.bitCount(ring) != 1) {
      throw values.bad(
          value, "a power of two from " + DirtyRing.MIN_ENTRIES + " to " + DirtyRing.MAX_ENTRIES);
    }
  }

  @Option(
      names = "--progress",
      order = 62,
      paramLabel = "bar|lines|none",
      description = "How to show the progress. Default: a bar on a terminal, lines elsewhere.")
  void setProgress(String value) {
    progress =
        Progress.Style.valueOf(
            values("--progress").choice(value, "bar", "lines", "none").toUpperCase(Locale.ROOT));
  }

  @Override
  public Integer call() throws Exception {
    if (listen >= 0 && to != null) {
      throw usage(
          "--listen and --to exclude each other: this is either the destination or the source");
    }
    if (listen >= 0) {
      String option =
          guest != null
              ? "--guest"
              : backend != null
                  ? "--backend"
                  : breakBarrier || breakReport ? breakOption() : sourceOption();
      if (option != null) {
        throw usage("--listen takes the guest from the source: " + option + " belongs there");
      }
      return new MigrationRun(settings(), out, err).listen(listen);
    }
    if (backend != null
        && !backend.equals("software")
        && migrationOptions.throttleGiven() != null) {
      throw usage(
          "--throttle is for --backend software: a vCPU waits at its safepoints for what it has"
              + " marked, and with "
              + backend
              + " it marks nothing");
    }
    Program program =
        KvmProgram.KIND.equals(backend)
            ? kvmProgram()
            : MmuProgram.BACKEND.equals(backend) ? mmuProgram() : softwareProgram();
    MigrationRun run = new MigrationRun(settings(), out, err);
    InetSocketAddress address = to;
    return address == null ? run.here(program) : run.to(program, address);
  }

  private @Nullable String sourceOption() {
    String other = migrationOptions.sourceGiven();
    return ring != 0 ? "--ring" : other != null ? other : nativeOptions.anyGiven();
  }

  private String breakOption() {
    return breakBarrier ? "--break-barrier" : "--break-report";
  }

  private void checkBreakReport() {
    if (breakReport) {
      throw usage(
          "--break-report is for --backend mmu: it leaves out some of what the kernel reports");
    }
  }

  private Program softwareProgram() {
    checkBreakReport();
    return inThisJvm();
  }

  private Program inThisJvm() {
    String foreign = nativeOptions.nativeGiven();
    boolean isNative =
        guest == null
            ? breakBarrier || breakReport || foreign != null
            : guest.equals(NativeProgram.KIND);
    if (!isNative && foreign != null) {
      throw usage(foreign + " is for --guest native");
    }
    migrationOptions.setDefaultWarmUp(isNative ? 500 : 3000);
    if (breakBarrier) {
      nativeOptions.showLosses();
      migrationOptions.showLosses();
    }
    return isNative
        ? nativeOptions.program()
        : new QuickJsProgram(nativeOptions.callsOr(QuickJsProgram.DEFAULT_CALLS));
  }

  private Program mmuProgram() {
    if (breakBarrier) {
      throw usage(
          "--break-barrier is for --backend software: with mmu there is no barrier to leave out, as"
              + " the kernel flushes all TLBs before a clear returns; --break-report is for mmu");
    }
    if (ring != 0) {
      throw usage("--ring is for --backend software or kvm: with mmu nobody reports pages");
    }
    return new MmuProgram(inThisJvm());
  }

  private Program kvmProgram() {
    if (guest != null) {
      throw usage("--backend kvm has a guest of its own: leave --guest out");
    }
    if (breakBarrier) {
      throw usage(
          "--break-barrier is for --backend software: with kvm there is no barrier to leave out, as"
              + " the kernel flushes the vCPUs' TLBs before a clear returns");
    }
    checkBreakReport();
    if (ring != 0 && ring < MIN_KVM_RING) {
      throw values("--ring")
          .bad(String.valueOf(ring), "a power of two from " + MIN_KVM_RING + " with --backend kvm");
    }
    migrationOptions.setDefaultWarmUp(500);
    return nativeOptions.kvmProgram();
  }

  private MigrationRun.Settings settings() {
    Progress.Style style = progress;
    if (style == null) {
      style = isTerminal() && !output ? Progress.Style.BAR : Progress.Style.LINES;
    }
    return migrationOptions.settings(
        ring,
        breakBarrier ? NoBarrier::new : breakReport ? ForgottenWord::new : UnaryOperator.identity(),
        output,
        style);
  }

  @SuppressWarnings("SystemConsoleNull") // it may be null still
  private static boolean isTerminal() {
    Console console = System.console();
    return console != null && console.isTerminal();
  }

  private Values values(String option) {
    return new Values(spec, option);
  }

  private ParameterException usage(String message) {
    return values("").usage(message);
  }
}
