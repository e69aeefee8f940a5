package dev.smudge.snapshot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.pages.PagePort;
import dev.smudge.testbase.Seed;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A store that another process has written. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class ReopenedStoreTest {
  @TempDir Path directory;

  private SnapshotStore<LogSlot> open(Console console) throws IOException {
    return SnapshotStore.open(
        directory.resolve("states"),
        console.log.client("store", InitialView.ALL_DIRTY),
        console,
        console);
  }

  @Test
  void save_afterADeletionAndCompactions_takesANumberThatWasNeverUsed() throws Exception {
    try (SnapshotStore<LogSlot> store = open(new Console())) {
      store.save();
      long last = store.save();
      store.restore(0);
      store.delete(last);
      store.compact();
      store.compact();
    }
    try (SnapshotStore<LogSlot> store = open(new Console())) {
      assertEquals(0, store.lostBytes());
      assertEquals(1, store.states().size());
      assertEquals(2, store.save());
    }
    try (SnapshotStore<LogSlot> store = open(new Console())) {
      assertEquals(3, store.save());
      assertEquals(3, store.states().size());
    }
  }

  @Test
  void forEachRunSince_severalStatesAndBranches_tellsWhatWasWrittenSinceEach() throws Exception {
    Console console = new Console();
    try (SnapshotStore<LogSlot> store = open(console)) {
      console.poke(0, 0, (byte) 1);
      long monday = store.save();
      assertEquals(Set.of(), changed(store, monday));
      console.poke(0, 5 * Console.PAGE, (byte) 1);
      long tuesday = store.save();
      console.poke(1, 0, (byte) 1);
      assertEquals(Set.of("0.5", "1.0"), changed(store, monday));
      assertEquals(Set.of("1.0"), changed(store, tuesday));
      store.restore(monday);
      console.poke(0, 6 * Console.PAGE, (byte) 1); // another way
      assertEquals(Set.of("0.6"), changed(store, monday));
      assertEquals(Set.of("0.5", "0.6"), changed(store, tuesday), "both ways");
      var e = assertThrows(IllegalArgumentException.class, () -> changed(store, 7));
      assertEquals("there is no state 7; states: [0, 1]", e.getMessage());
      assertThrows(
          IOException.class,
          () ->
              store.forEachRunSince(
                  monday,
                  (slot, first, count) -> {
                    assertThrows(IllegalStateException.class, store::save);
                    throw new IOException("of the consumer");
                  }));
      assertEquals(Set.of("0.6"), changed(store, monday), "as before");
    }
    try (SnapshotStore<LogSlot> store = open(new Console())) {
      assertEquals(161 + 8, changed(store, 0).size(), "the guest is in none of its states yet");
    }
  }

  private static Set<String> changed(SnapshotStore<LogSlot> store, long since) {
    Set<String> pages = new TreeSet<>();
    store.forEachRunSince(
        since,
        (slot, first, count) -> {
          for (long page = first; page < first + count; page++) {
            assertTrue(pages.add(slot.id() + "." + page), "told twice");
          }
        });
    return pages;
  }

  /** A guest of 1 TiB, most of which nobody ever touched. */
  private static final class SparseGuest implements PagePort.OwnRam {
    private static final int PAGE = 4096;
    private static final long PAGES = 1L << 28;

    final TreeMap<Long, byte[]> ram = new TreeMap<>();
    final DirtyLog log = DirtyLog.builder().buildStopped();
    final LogSlot slot = log.addSlot(0, PAGES, PAGE);
    int reads;
    int looks; // for touched pages: each may walk over all of RAM

    void fill(long page, SplittableRandom random) {
      byte[] content = new byte[PAGE];
      random.nextBytes(content);
      ram.put(page, content);
      log.mark(slot, page * PAGE, PAGE);
    }

    void check(SparseGuest other) {
      other.ram.values().removeIf(page -> Arrays.equals(page, new byte[PAGE]));
      ram.values().removeIf(page -> Arrays.equals(page, new byte[PAGE]));
      assertEquals(ram.keySet(), other.ram.keySet());
      ram.forEach((page, content) -> assertArrayEquals(content, other.ram.get(page)));
    }

    @Override
    public void read(LogSlot in, long pageIndex, byte[] page) {
      reads++;
      System.arraycopy(ram.getOrDefault(pageIndex, new byte[PAGE]), 0, page, 0, PAGE);
    }

    @Override
    public void write(LogSlot in, long pageIndex, byte[] page) {
      ram.put(pageIndex, page.clone());
    }

    @Override
    public long nextTouchedPage(LogSlot in, long pageIndex) {
      looks++;
      Long next = ram.ceilingKey(pageIndex);
      return next == null ? PAGES : next;
    }
  }

  private SnapshotStore<LogSlot> open(SparseGuest guest) throws IOException {
    return SnapshotStore.open(
        directory.resolve("states"),
        guest.log.client("store", InitialView.ALL_DIRTY),
        guest,
        MachineState.NONE);
  }

  @Test
  void saveAndRestore_afterOpening_readWhatWasTouchedAlone() throws Exception {
    SplittableRandom random = Seed.random("sparse");
    SparseGuest guest = new SparseGuest();
    for (int i = 0; i < 1_000; i++) {
      guest.fill(random.nextLong(SparseGuest.PAGES), random);
    }
    try (SnapshotStore<LogSlot> store = open(guest)) {
      store.save();
    }
    SparseGuest other = new SparseGuest();
    long stray = random.nextLong(SparseGuest.PAGES);
    other.fill(stray, random); // before the store is open: zero in the state, unless it is there
    try (SnapshotStore<LogSlot> store = open(other)) {
      store.restore(0);
      guest.check(other);
      assertTrue(other.reads < 1_100, other.reads + " reads by a restore");
      assertTrue(other.looks < 10, other.looks + " looks by a restore");
      other.fill(stray, random);
      try (SnapshotStore<LogSlot>.Capture capture = store.capture()) {
        assertEquals(1, capture.write("the stray page"));
      }
      assertEquals(1, store.states().get(1).pages());
    }
    other.reads = 0;
    try (SnapshotStore<LogSlot> store = open(other)) {
      store.save(); // all is dirty: nothing is taken for granted
      assertTrue(other.reads < 3_100, other.reads + " reads by a save");
      store.restore(1);
      store.restore(0);
      guest.check(other);
    }
  }
}
