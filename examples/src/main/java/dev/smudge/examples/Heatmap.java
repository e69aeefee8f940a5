package dev.smudge.examples;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The command {@code heatmap}: shows which pages of a running guest are written when. */
@Command(
    name = "heatmap",
    sortOptions = false,
    usageHelpWidth = 100,
    header = "Shows which pages of a running guest are written when.",
    description = {
      "",
      "Takes the dirty pages of a guest at regular intervals while it runs. Each interval is a line"
          + " of text: from left to right the parts of guest RAM that were ever written, by"
          + " address; the darker the character, the more of the part's pages were written in that"
          + " interval. At the end all of it is drawn as a picture, time against address.",
      ""
    },
    optionListHeading = "%nOptions:%n")
public final class Heatmap implements Callable<Integer> {
  private static final int PICTURE_ROWS = 200;
  private static final int TEXT_COLUMNS = 90;
  private static final int FAILED = 3;

  @Spec private @Nullable CommandSpec spec;
  @Mixin private final NativeOptions nativeOptions = new NativeOptions();

  private final PrintStream out;
  private String guest = QuickJsProgram.KIND;
  private String backend = "software";
  private long seconds = 10;
  private long intervalMillis = 100;
  private @Nullable Path png;

  @Option(
      names = {"-h", "--help"},
      order = 1,
      usageHelp = true,
      description = "Print this.")
  @SuppressWarnings("UnusedVariable") // picocli's
  private boolean help;

  private Heatmap(PrintStream out) {
    this.out = out;
  }

  /**
   * Runs the command and ends the JVM with its exit status: 0; 2 after wrong options; 3 if the
   * guest cannot run here, or the picture cannot be written.
   *
   * @param args the options
   */
  public static void main(String[] args) {
    System.exit(run(System.out, System.err, args));
  }

  /** Runs the command; returns its exit status. */
  static int run(PrintStream out, PrintStream err, String... args) {
    return new CommandLine(new Heatmap(out))
        .setOut(new PrintWriter(out, true, out.charset()))
        .setErr(new PrintWriter(err, true, err.charset()))
        .setOverwrittenOptionsAllowed(false)
        .setParameterExceptionHandler((e, arguments) -> {
          err.println("heatmap: " + oneLine(e) + " (--help explains the options)");
          return MigrationRun.USAGE;
        })
        .setExecutionExceptionHandler((e, command, result) -> {
          err.println("heatmap: failed: " + e.getMessage());
          return FAILED;
        })
        .execute(args);
  }

  private static String oneLine(ParameterException e) {
    return String.valueOf(e.getMessage()).lines().findFirst().orElse("wrong options");
  }

  @Option(
      names = "--guest",
      order = 10,
      paramLabel = "quickjs|native|kvm",
      description =
          "Which guest runs: quickjs, a third-party JavaScript parser in QuickJS on WebAssembly;"
              + " native, writers in Java; or kvm, x86-64 code on KVM, which needs /dev/kvm."
              + " Default: quickjs.")
  void setGuest(String value) {
    guest =
        values("--guest").choice(value, QuickJsProgram.KIND, NativeProgram.KIND, KvmProgram.KIND);
  }

  @Option(
      names = "--backend",
      order = 11,
      paramLabel = "software|mmu",
      description =
          "What finds the writes of quickjs and native: software marks; or mmu, which is the"
              + " Linux kernel, through the page tables. Default: software.")
  void setBackend(String value) {
    backend = values("--backend").choice(value, "software", MmuProgram.BACKEND);
  }

  @Option(
      names = "--seconds",
      order = 50,
      paramLabel = "1..3600",
      description = "How long to watch the guest, 1 to 3600, or until it ends. Default: 10.")
  void setSeconds(String value) {
    seconds = values("--seconds").number(value, 1, 3_600);
  }

  @Option(
      names = "--interval",
      order = 51,
      paramLabel = "MILLISECONDS",
      description = "Time between two takes, 10 to 10000. Default: 100.")
  void setInterval(String value) {
    intervalMillis = values("--interval").number(value, 10, 10_000);
  }

  @Option(
      names = "--png",
      order = 60,
      paramLabel = "FILE.png",
      description = "Where to draw the picture. Default: no picture.")
  void setPng(String value) {
    if (!value.endsWith(".png")) {
      throw values("--png").bad(value, "a file whose name ends with .png");
    }
    Path file = Path.of(value);
    Path directory = file.toAbsolutePath().getParent();
    if (directory == null || !Files.isDirectory(directory)) {
      throw values("--png").bad(value, "a file in a directory that exists");
    }
    png = file;
  }

  private Values values(String option) {
    return new Values(spec, option);
  }

  private Program program() {
    String foreign = nativeOptions.nativeGiven();
    if (guest.equals(KvmProgram.KIND)) {
      if (backend.equals(MmuProgram.BACKEND)) {
        throw values("")
            .usage("--guest kvm finds its writes by the kernel's KVM: leave --backend out");
      }
      return nativeOptions.kvmProgram();
    }
    if (guest.equals(QuickJsProgram.KIND) && foreign != null) {
      throw values("").usage(foreign + " is for --guest native");
    }
    Program program =
        guest.equals(NativeProgram.KIND)
            ? nativeOptions.program()
            : new QuickJsProgram(nativeOptions.callsOr(QuickJsProgram.DEFAULT_CALLS));
    return backend.equals(MmuProgram.BACKEND) ? new MmuProgram(program) : program;
  }

  @Override
  public Integer call() throws Exception {
    Program program = program();
    WriteHistory picture = new WriteHistory(PICTURE_ROWS);
    WriteHistory lines = new WriteHistory(TEXT_COLUMNS);
    try (Machine machine = program.machine(DirtyLog.builder(), 0)) {
      GuestMemory memory = machine.memory();
      program.addSlots(memory);
      try (DirtyClient<GuestSlot> client = memory.client("heat map", InitialView.NONE_DIRTY);
          Guest running = program.boot(machine, (channel, text) -> {})) {
        try (DirtyBatch<GuestSlot> boot = client.take()) {
          boot.commit(); // what it has loaded is not shown
        }
        running.start();
        look(client, running, picture, lines);
        running.stop();
      }
    }
    if (png != null) {
      draw(picture, png);
    }
    return 0;
  }

  private void look(
      DirtyClient<GuestSlot> client, Guest running, WriteHistory picture, WriteHistory lines)
      throws InterruptedException, ExecutionException {
    long scale = 0;
    long start = System.nanoTime();
    for (long n = 1; n <= seconds * 1000 / intervalMillis; n++) {
      long due = start + TimeUnit.MILLISECONDS.toNanos(n * intervalMillis);
      boolean last = hasEnded(running, due - System.nanoTime());
      picture.nextInterval();
      lines.nextInterval();
      long pages;
      try (DirtyBatch<GuestSlot> batch = client.take()) {
        pages = batch.pageCount();
        batch.forEachRun((slot, first, count) -> {
          long pageAddress = slot.guestAddress() + first * slot.pageSize();
          long grains = (count * slot.pageSize()) >> 12;
          picture.written(pageAddress, grains);
          lines.written(pageAddress, grains);
        });
        batch.commit();
      }
      if (lines.pieceSize() != scale) {
        scale = lines.pieceSize();
        out.println("one character: " + WriteHistory.text(scale) + " of guest RAM");
      }
      out.printf(
          Locale.ROOT, "%7.2f s %7d pages |%s|%n", n * intervalMillis / 1e3, pages, lines.line());
      if (last) {
        out.println("The guest has ended.");
        return;
      }
    }
  }

  /** Waits for so long; returns whether the guest has ended by then. */
  private static boolean hasEnded(Guest running, long nanos)
      throws InterruptedException, ExecutionException {
    try {
      running.completion().get(nanos, TimeUnit.NANOSECONDS);
      return true;
    } catch (TimeoutException e) {
      return false;
    }
  }

  private void draw(WriteHistory picture, Path file) throws IOException {
    picture.draw(
        String.format(
            Locale.ROOT,
            "%s: share of each row's pages that was written in each %d ms; %s in all",
            guest,
            intervalMillis,
            WriteHistory.text(picture.touchedBytes())),
        intervalMillis,
        file);
    out.println("Drawn: " + file);
  }
}
