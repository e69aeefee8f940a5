package dev.smudge.benchmarks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import dev.smudge.snapshot.MachineState;
import dev.smudge.snapshot.SnapshotStore;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.pages.PagePort;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What reading the pages of a store costs. */
class StoreAllocationTest {
  private static final int PAGE = 4096;
  private static final int PAGES = 1000;

  private final byte[] ram = new byte[PAGES * PAGE];
  private final DirtyLog log = DirtyLog.builder().buildStopped();
  private final LogSlot slot = log.addSlot(0, PAGES, PAGE);
  private final PagePort.OwnRam port =
      new PagePort.OwnRam() {
        @Override
        public void read(LogSlot in, long pageIndex, byte[] page) {
          System.arraycopy(ram, (int) pageIndex * PAGE, page, 0, PAGE);
        }

        @Override
        public void write(LogSlot in, long pageIndex, byte[] page) {
          System.arraycopy(page, 0, ram, (int) pageIndex * PAGE, PAGE);
        }
      };

  private static long allocated() {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    return threads.getCurrentThreadAllocatedBytes();
  }

  /** Compressed pages, and differences to them in runs of their own. */
  @Test
  void restore_manyPages_allocatesNoBuffersPerPage(@TempDir Path directory) throws Exception {
    SplittableRandom random = new SplittableRandom(1);
    for (int i = 0; i < ram.length; i++) {
      ram[i] = (byte) random.nextInt(6);
    }
    Path file = directory.resolve("states");
    try (SnapshotStore<LogSlot> store =
        SnapshotStore.open(
            file, log.client("store", InitialView.ALL_DIRTY), port, MachineState.NONE)) {
      store.save();
      for (int page = 0; page < PAGES; page++) {
        ram[page * PAGE + random.nextInt(PAGE)] = 7;
      }
      log.mark(slot, 0, ram.length);
      store.save();
      byte[] then = ram.clone();
      long before = 0;
      for (int i = 0; i < 6; i++) {
        before = allocated();
        store.restore(i & 1);
      }
      long perPage = (allocated() - before) / PAGES;
      assertEquals(-1, java.util.Arrays.mismatch(then, ram));
      assertTrue(perPage < 400, perPage + " bytes per page"); // the heads of runs, and noise
    }
  }
}
