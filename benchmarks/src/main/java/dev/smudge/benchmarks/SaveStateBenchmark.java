package dev.smudge.benchmarks;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.snapshot.MachineState;
import dev.smudge.snapshot.SnapshotStore;
import dev.smudge.sync.InitialView;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
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
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * Saving and restoring a guest that has written some pages at random, 64 bytes in each: 200 pages
 * of 64 MiB, or 1 % of 1 GiB. Beside it a dump of all RAM into a file, which is on the disk when it
 * ends, as a state is; and reading that file into RAM. Files are in the cache of the system when
 * they are read.
 */
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 10)
@Measurement(iterations = 15)
@Fork(
    value = 1,
    jvmArgsAppend = {"-Xmx2g", "--enable-native-access=ALL-UNNAMED"})
@State(Scope.Thread)
public class SaveStateBenchmark {
  private static final int WRITTEN = 64;

  /** RAM. */
  @Param({"64", "1024"})
  public int mib;

  private final SplittableRandom random = new SplittableRandom(1);
  private final byte[] noise = new byte[WRITTEN];
  private int dirty;
  private Path directory;
  private GuestMemory memory;
  private GuestSlot slot;
  private SnapshotStore<GuestSlot> store;
  private FileChannel dump;

  /**
   * Makes the guest, its first state, and a dump.
   *
   * @throws IOException if a file cannot be written
   */
  @Setup
  public void open() throws IOException {
    directory = Files.createTempDirectory("states");
    memory = GuestMemory.create();
    slot = memory.addSlot(0, 0, (long) mib << 20);
    dirty = mib == 64 ? 200 : (int) slot.pageCount() / 100;
    for (long page = 0; page < slot.pageCount(); page++) {
      write(page);
    }
    store =
        SnapshotStore.open(
            directory.resolve("states"),
            memory.client("store", InitialView.ALL_DIRTY),
            memory.pages(),
            MachineState.NONE);
    store.save();
    dump =
        FileChannel.open(
            directory.resolve("dump"),
            StandardOpenOption.CREATE,
            StandardOpenOption.READ,
            StandardOpenOption.WRITE);
    dump();
  }

  /**
   * Closes it.
   *
   * @throws IOException if a file cannot be closed or deleted
   */
  @TearDown
  public void close() throws IOException {
    store.close();
    dump.close();
    memory.close();
    for (String file : new String[] {"states", "states.lock", "dump", ""}) {
      Files.delete(directory.resolve(file));
    }
  }

  private void write(long page) {
    random.nextBytes(noise);
    memory
        .device()
        .write(
            (page << 12) + (long) WRITTEN * random.nextInt(4096 / WRITTEN),
            MemorySegment.ofArray(noise));
  }

  /** The guest runs. */
  @Setup(Level.Invocation)
  public void run() {
    for (int i = 0; i < dirty; i++) {
      write(random.nextLong(slot.pageCount()));
    }
  }

  /**
   * Saves a state.
   *
   * @return its number
   * @throws IOException if the file cannot be written
   */
  @Benchmark
  public long save() throws IOException {
    return store.save();
  }

  /**
   * Writes all RAM into a file.
   *
   * @return bytes
   * @throws IOException if the file cannot be written
   */
  @Benchmark
  public long dump() throws IOException {
    ByteBuffer ram = slot.pages(0, slot.pageCount()).asByteBuffer();
    while (ram.hasRemaining()) {
      dump.write(ram, ram.position());
    }
    dump.force(true);
    return ram.position();
  }

  /**
   * Restores the first state.
   *
   * @return its number
   * @throws IOException if the file cannot be read
   */
  @Benchmark
  public long restore() throws IOException {
    store.restore(0);
    return store.current();
  }

  /**
   * Reads all RAM from a file.
   *
   * @return bytes
   * @throws IOException if the file cannot be read
   */
  @Benchmark
  public long read() throws IOException {
    ByteBuffer ram = slot.ram().asByteBuffer();
    while (ram.hasRemaining() && dump.read(ram, ram.position()) >= 0) {
      // on
    }
    return ram.position();
  }
}
