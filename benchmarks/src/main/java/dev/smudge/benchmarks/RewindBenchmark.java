package dev.smudge.benchmarks;

import dev.smudge.snapshot.Rewind;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.pages.PagePort;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.infra.BenchmarkParams;

/**
 * A state of a frame, and a step back: a guest of MiB of RAM, of which a frame writes 200 pages at
 * random. Beside it two ways that need no tracking: RetroArch's, which copies the whole state,
 * compares it with the one before and keeps what differs; and that of emulators which keep a whole
 * copy per state, as coffee-gb's.
 */
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 1_500)
@Measurement(iterations = 1_000)
@Fork(value = 1, jvmArgsAppend = "-Xmx4g")
@State(Scope.Thread)
public class RewindBenchmark {
  private static final int PAGE = 4096;
  private static final int DIRTY = 200;

  /** RAM. */
  @Param("64")
  public int mib;

  /** Bytes that a frame writes in each of its pages, in one piece. */
  @Param({"64", "4096"})
  public int written;

  private final SplittableRandom random = new SplittableRandom(1);
  private byte[] ram;
  private DirtyLog log;
  private LogSlot slot;
  private Rewind<LogSlot> rewind;

  private byte[] whole; // RetroArch's state of before, and the one of now
  private byte[] wholeNow;
  private final byte[] patch = new byte[16 << 20];
  private int patchEnd;
  private final ArrayDeque<byte[]> copies = new ArrayDeque<>();

  /** Makes the guest, and its histories. */
  @Setup
  public void open() {
    ram = new byte[mib << 20];
    random.nextBytes(ram);
    log = DirtyLog.builder().buildStopped();
    slot = log.addSlot(0, ram.length / PAGE, PAGE);
    DirtyClient<LogSlot> client = log.client("rewind", InitialView.ALL_DIRTY);
    rewind =
        Rewind.over(
            client,
            new PagePort.OwnRam() {
              @Override
              public void read(LogSlot in, long pageIndex, byte[] page) {
                System.arraycopy(ram, (int) pageIndex * PAGE, page, 0, PAGE);
              }

              @Override
              public void write(LogSlot in, long pageIndex, byte[] page) {
                System.arraycopy(page, 0, ram, (int) pageIndex * PAGE, PAGE);
              }
            },
            256 << 20);
    whole = ram.clone();
    wholeNow = new byte[ram.length];
    rewind.save();
    for (int i = 0; i < 20; i++) {
      frame();
      rewind.save();
    }
  }

  /** A frame runs, and before a step back it is saved. */
  @Setup(Level.Invocation)
  public void run(BenchmarkParams params) {
    frame();
    if (params.getBenchmark().endsWith(".back")) {
      rewind.save();
    }
  }

  private void frame() {
    byte[] news = new byte[written];
    for (int i = 0; i < DIRTY; i++) {
      random.nextBytes(news);
      int page = random.nextInt(ram.length / PAGE);
      int at = page * PAGE + random.nextInt(PAGE - written + 1);
      System.arraycopy(news, 0, ram, at, written);
      log.mark(slot, at, written);
    }
  }

  /**
   * Saves a state.
   *
   * @return its number
   */
  @Benchmark
  public long save() {
    return rewind.save();
  }

  /**
   * Steps back from a state that was just saved.
   *
   * @return true
   */
  @Benchmark
  public boolean back() {
    return rewind.back();
  }

  /**
   * RetroArch's way: all is copied, and compared with the state before; what differs is kept.
   *
   * @return bytes of the patch
   */
  @Benchmark
  public int retroArchSave() {
    System.arraycopy(ram, 0, wholeNow, 0, ram.length);
    int out = 0;
    for (int at = 0; at < ram.length; ) {
      int same = Arrays.mismatch(whole, at, ram.length, wholeNow, at, ram.length);
      if (same < 0) {
        break;
      }
      int from = at + same & ~15;
      int past = from;
      while (past < ram.length
          && !Arrays.equals(whole, past, past + 16, wholeNow, past, past + 16)) {
        past += 16;
      }
      System.arraycopy(whole, from, patch, out, past - from);
      out += past - from + 8;
      at = past;
    }
    byte[] before = whole;
    whole = wholeNow;
    wholeNow = before;
    patchEnd = out;
    return patchEnd;
  }

  /**
   * RetroArch's way back: the whole state is written into the guest.
   *
   * @return a byte of it
   */
  @Benchmark
  public byte retroArchBack() {
    System.arraycopy(whole, 0, ram, 0, ram.length);
    return ram[0];
  }

  /**
   * A whole copy per state, of which the last eight are kept.
   *
   * @return the state
   */
  @Benchmark
  public byte[] copySave() {
    byte[] copy = ram.clone();
    copies.addLast(copy);
    if (copies.size() > 8) {
      copies.removeFirst();
    }
    return copy;
  }
}
