package dev.smudge.snapshot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.snapshot.Console.Content;
import dev.smudge.snapshot.stream.PageDamageException;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.pages.PagePort;
import dev.smudge.testbase.Seed;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The store against full copies of the guest. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class SnapshotStoreTest {
  @TempDir Path directory;

  private static SnapshotStore<LogSlot> open(Console console, Path file) throws IOException {
    return SnapshotStore.open(
        file, console.log.client("store", InitialView.ALL_DIRTY), console, console);
  }

  @Test
  void randomSavesRestoresDeletesCompactionsAndReopenings_equalFullCopies() throws Exception {
    SplittableRandom random = Seed.random("store");
    Path file = directory.resolve("states");
    Console console = new Console();
    SnapshotStore<LogSlot> store = open(console, file);
    Watcher watcher = new Watcher(console);
    Map<Long, Content> model = new TreeMap<>();
    Map<Long, Long> parents = new TreeMap<>();
    long current = -1;
    for (int step = 0; step < Seed.STEPS / 20; step++) {
      console.run(random);
      switch (random.nextInt(8)) {
        case 0, 1, 2 -> {
          long state = random.nextBoolean() ? store.save("step " + step) : capture(store, console);
          parents.put(state, current);
          current = state;
          model.put(state, console.content());
        }
        case 3, 4 -> {
          if (!model.isEmpty()) {
            long state = Seed.any(random, model.keySet());
            store.restore(state);
            current = state;
            assertEquals(model.get(state), console.content(), "state " + state);
          }
        }
        case 5 -> {
          long state = model.isEmpty() ? -1 : Seed.any(random, model.keySet());
          if (state >= 0 && state != current && model.size() > 6) {
            store.delete(state);
            model.remove(state);
          }
        }
        case 6 -> {
          if (random.nextInt(4) == 0) {
            long before = store.fileBytes();
            assertEquals(before - store.compact(), store.fileBytes());
            assertEquals(Files.size(file), store.fileBytes());
          }
        }
        default -> {
          if (random.nextInt(8) == 0) { // in another process, so to speak, of another guest
            watcher.close();
            store.close();
            console = new Console();
            store = open(console, file);
            assertEquals(0, store.lostBytes());
            watcher = new Watcher(console);
            current = -1;
          }
        }
      }
      assertEquals(current, store.current());
      assertEquals(new ArrayList<>(model.keySet()), Stores.numbers(store));
      for (SnapshotStore.State state : store.states()) {
        assertEquals(listed(parents, model, state.number()), state.parent());
      }
      if (!model.isEmpty()) {
        long since = Seed.any(random, model.keySet());
        assertEquals(
            console.ram(),
            console.ramAfter(Objects.requireNonNull(model.get(since)), store, since));
      }
      watcher.check();
    }
    for (Map.Entry<Long, Content> each : model.entrySet()) {
      store.restore(each.getKey());
      assertEquals(each.getValue(), console.content());
    }
    store.close();
  }

  private static long listed(Map<Long, Long> parents, Map<Long, Content> model, long of) {
    long parent = parents.getOrDefault(of, -1L);
    while (parent >= 0 && !model.containsKey(parent)) {
      parent = parents.getOrDefault(parent, -1L);
    }
    return parent;
  }

  /** A guest that runs on while the state is written. */
  private static long capture(SnapshotStore<LogSlot> store, Console console) throws IOException {
    SnapshotStore<LogSlot>.Capture capture = store.capture();
    Content then = console.content();
    console.poke(0, 5, (byte) 77);
    console.poke(1, 900, (byte) 78);
    assertThrows(IllegalStateException.class, store::save);
    long state = capture.write("captured");
    assertThrows(IllegalStateException.class, () -> capture.write("again"));
    store.restore(state);
    assertEquals(then, console.content());
    return state;
  }

  @Test
  void capture_closedUnwritten_comesWithTheNextState() throws Exception {
    Console console = new Console();
    SnapshotStore<LogSlot> store = Stores.over(console, new MemoryDisk());
    store.save();
    console.poke(0, 5, (byte) 1);
    store.capture().close();
    long state = store.save();
    console.poke(0, 5, (byte) 2);
    store.restore(state);
    assertEquals(1, console.ram[0][5]);
    store.close();
  }

  @Test
  void image_exportedAndImported_isTheSameRam_andSparse() throws Exception {
    Console console = new Console();
    SnapshotStore<LogSlot> store = open(console, directory.resolve("states"));
    console.poke(0, 3_000, (byte) 5);
    console.poke(0, 40_000, (byte) 6);
    long state = store.save();
    Path image = directory.resolve("ram.img");
    store.exportImage(state, 0, image);
    byte[] bytes = Files.readAllBytes(image);
    assertEquals(console.slots[0].pageCount() * Console.PAGE, bytes.length);
    assertArrayEquals(console.ram[0], Arrays.copyOf(bytes, Console.SIZE));
    assertThrows(IOException.class, () -> store.exportImage(state, 0, image));
    assertThrows(
        IllegalArgumentException.class,
        () -> store.exportImage(state, 7, directory.resolve("none")));
    console.fill(0, 0, 40_000, (byte) 1);
    byte[] registers = {1, 2, 3};
    long imported = store.importImage(0, image, registers, "from elsewhere");
    assertEquals(1, console.ram[0][3_000]); // not restored yet
    store.restore(imported);
    assertEquals(5, console.ram[0][3_000]);
    assertEquals(0, console.ram[0][3_001]);
    assertArrayEquals(registers, console.registers);
    Path large = directory.resolve("large.img");
    Files.write(large, new byte[(int) console.slots[1].pageCount() * Console.PAGE + 1]);
    assertThrows(IllegalArgumentException.class, () -> store.importImage(1, large, registers, ""));
    store.close();
  }

  @Test
  void wrongCalls_areRefusedAndChangeNothing() throws Exception {
    Path file = directory.resolve("states");
    Console console = new Console();
    SnapshotStore<LogSlot> store = open(console, file);
    Exception e = assertThrows(IOException.class, () -> open(new Console(), file));
    assertTrue(
        String.valueOf(e.getMessage()).endsWith("is open already in this process"), e::toString);
    long state = store.save("first");
    e = assertThrows(IllegalArgumentException.class, () -> store.restore(7));
    assertEquals("there is no state 7; states: [0]", e.getMessage());
    e = assertThrows(IllegalArgumentException.class, () -> store.delete(state));
    assertTrue(String.valueOf(e.getMessage()).contains("is the current one"), e::toString);
    store.close();
    assertThrows(IllegalStateException.class, store::save);

    Path none = directory.resolve("none");
    for (int length : new int[] {1, 100}) {
      Files.write(none, new byte[length]);
      assertThrows(PageDamageException.class, () -> open(new Console(), none));
      assertEquals(length, Files.size(none));
    }
    SnapshotStore<LogSlot> free = open(new Console(), file); // its lock was given back
    assertEquals("first", free.states().get(0).name());
    free.close();
  }

  @Test
  void restore_ofAGuestWithOtherSlots_isRefused() throws Exception {
    MemoryDisk disk = new MemoryDisk();
    SnapshotStore<LogSlot> store = Stores.over(new Console(), disk);
    store.save();
    Console other = new Console();
    other.log.addSlot(2, 10, Console.PAGE);
    SnapshotStore<LogSlot> again = Stores.over(other, disk.copy());
    Exception e = assertThrows(IllegalStateException.class, () -> again.restore(0));
    assertTrue(
        String.valueOf(e.getMessage()).startsWith("the guest's slots are not those of state 0"));
  }

  @Test
  void save_pagesLargerThanTheFileCanHave_isRefusedAndNamesTheSlot() throws Exception {
    DirtyLog log = DirtyLog.builder().buildStopped();
    log.addSlot(9, 2, 8 << 20);
    PagePort.OwnRam port =
        new PagePort.OwnRam() {
          @Override
          public void read(LogSlot slot, long pageIndex, byte[] page) {}

          @Override
          public void write(LogSlot slot, long pageIndex, byte[] page) {}
        };
    MemoryDisk disk = new MemoryDisk();
    try (SnapshotStore<LogSlot> store =
        SnapshotStore.over(
            disk,
            Path.of("memory"),
            () -> {},
            log.client("store", InitialView.ALL_DIRTY),
            port,
            new Console())) {
      String message =
          String.valueOf(assertThrows(IllegalArgumentException.class, store::save).getMessage());
      assertTrue(message.contains("slot 9 have 8388608 bytes"), message);
      assertEquals(List.of(), store.states());
    }
  }
}
