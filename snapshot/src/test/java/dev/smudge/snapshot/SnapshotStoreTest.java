package dev.smudge.snapshot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.snapshot.Console.Content;
import dev.smudge.snapshot.stream.PageDamageException;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
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

  static SnapshotStore<LogSlot> over(Console console, MemoryDisk disk) throws IOException {
    return SnapshotStore.over(
        disk,
        Path.of("memory"),
        () -> {},
        console.log.client("store", InitialView.ALL_DIRTY),
        console,
        console);
  }

  private static List<Long> numbers(SnapshotStore<?> store) {
    return store.states().stream().map(SnapshotStore.State::number).toList();
  }

  private static <T> T any(SplittableRandom random, Iterable<T> all) {
    List<T> list = new ArrayList<>();
    all.forEach(list::add);
    return list.get(random.nextInt(list.size()));
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
            long state = any(random, model.keySet());
            store.restore(state);
            current = state;
            assertEquals(model.get(state), console.content(), "state " + state);
          }
        }
        case 5 -> {
          long state = model.isEmpty() ? -1 : any(random, model.keySet());
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
      assertEquals(new ArrayList<>(model.keySet()), numbers(store));
      for (SnapshotStore.State state : store.states()) {
        assertEquals(listed(parents, model, state.number()), state.parent());
      }
      if (!model.isEmpty()) {
        long since = any(random, model.keySet());
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
    SnapshotStore<LogSlot> store = over(console, new MemoryDisk());
    store.save();
    console.poke(0, 5, (byte) 1);
    store.capture().close();
    long state = store.save();
    console.poke(0, 5, (byte) 2);
    store.restore(state);
    assertEquals(1, console.ram[0][5]);
    store.close();
  }

  /** What a history of saves and a deletion leaves, and what its states are. */
  private static Map<Long, Content> history(
      SnapshotStore<LogSlot> store, Console console, SplittableRandom random, int length)
      throws IOException {
    Map<Long, Content> model = new TreeMap<>();
    for (int i = 0; i < length; i++) {
      console.run(random);
      long state = store.save();
      model.put(state, console.content());
      if (i == 2) {
        store.restore(0);
        console.poke(1, 3, (byte) 9);
      }
    }
    return model;
  }

  @Test
  void save_diskFailsAtEveryOperation_storeIsAsBefore_andLaterCallsWork() throws Exception {
    SplittableRandom random = Seed.random("store faults");
    Console console = new Console();
    MemoryDisk disk = new MemoryDisk();
    SnapshotStore<LogSlot> store = over(console, disk);
    Watcher watcher = new Watcher(console);
    Map<Long, Content> model = history(store, console, random, 4);
    int faults = 0;
    for (int n = 0; n < 200; n++) {
      console.run(random);
      disk.untilFault = n % 25;
      long saved = -1;
      try {
        saved = store.save();
      } catch (MemoryDisk.Full e) {
        faults++;
        assertEquals(new ArrayList<>(model.keySet()), numbers(store));
      }
      disk.untilFault = -1;
      if (saved < 0 && n % 2 == 0 && model.size() > 3) { // a shorter group in its place
        long gone = numbers(store).stream().filter(s -> s != store.current()).findFirst().get();
        store.delete(gone);
        model.remove(gone);
        assertEquals(0, over(new Console(), disk.copy()).lostBytes());
      }
      if (saved < 0) {
        saved = store.save();
      }
      model.put(saved, console.content());
      long state = any(random, model.keySet());
      if (n % 3 == 0) {
        store.restore(state);
        assertEquals(model.get(state), console.content());
      }
      if (n % 5 == 0 && state != store.current()) {
        disk.untilFault = n % 3;
        try {
          store.delete(state);
          model.remove(state);
        } catch (MemoryDisk.Full e) {
          faults++;
        }
        disk.untilFault = -1;
      }
      assertEquals(new ArrayList<>(model.keySet()), numbers(store));
      watcher.check();
    }
    assertTrue(faults > 50, faults + " faults");
    checkAll(disk.copy(), model);
  }

  private static void checkAll(MemoryDisk disk, Map<Long, Content> model) throws IOException {
    Console other = new Console();
    SnapshotStore<LogSlot> again = over(other, disk);
    assertEquals(new ArrayList<>(model.keySet()), numbers(again));
    for (Map.Entry<Long, Content> each : model.entrySet()) {
      again.restore(each.getKey());
      assertEquals(each.getValue(), other.content(), "state " + each.getKey());
    }
    again.close();
  }

  @Test
  void save_faultsOfPortAndMachine_loseNothing() throws Exception {
    SplittableRandom random = Seed.random("store port");
    Console console = new Console();
    SnapshotStore<LogSlot> store = over(console, new MemoryDisk());
    Watcher watcher = new Watcher(console);
    Map<Long, Content> model = new TreeMap<>();
    int faults = 0;
    for (int n = 0; n < 300; n++) {
      console.run(random);
      console.untilFault = random.nextInt(20);
      try {
        if (model.isEmpty() || random.nextBoolean()) {
          long state = store.save();
          console.untilFault = -1;
          model.put(state, console.content());
        } else {
          long state = any(random, model.keySet());
          store.restore(state);
          console.untilFault = -1;
          assertEquals(model.get(state), console.content());
        }
      } catch (Console.Fault e) {
        faults++;
      }
      console.untilFault = -1;
      if (random.nextInt(3) == 0) {
        long state = store.save();
        model.put(state, console.content());
      }
      watcher.check();
    }
    assertTrue(faults > 50, faults + " faults");
    for (Map.Entry<Long, Content> each : model.entrySet()) {
      store.restore(each.getKey());
      assertEquals(each.getValue(), console.content());
    }
  }

  /**
   * Power is lost after any number of operations of a save: some states, and each of them right.
   */
  @Test
  void powerLossAtEveryOperation_hasEveryStateThatWasSaved_andNoWrongOne() throws Exception {
    SplittableRandom random = Seed.random("store power");
    int losses = 0;
    for (int n = 0; n < 240; n++) {
      Console console = new Console();
      MemoryDisk disk = new MemoryDisk();
      SnapshotStore<LogSlot> store = over(console, disk);
      Map<Long, Content> model = history(store, console, random, 3);
      console.run(random);
      disk.dies = true;
      disk.untilFault = n % 16;
      Content then = console.content();
      boolean died = false;
      try {
        store.save();
      } catch (MemoryDisk.Full e) {
        died = true;
        losses++;
      }
      MemoryDisk left = disk.afterPowerLoss(random);
      Console other = new Console();
      SnapshotStore<LogSlot> again = over(other, left);
      List<Long> there = numbers(again);
      assertTrue(there.containsAll(model.keySet()), "saved " + model.keySet() + ": " + there);
      assertTrue(died || there.size() == 4, "saved 4 states: " + there);
      for (long state : there) {
        again.restore(state);
        assertEquals(model.getOrDefault(state, then), other.content(), "state " + state);
      }
      other.run(random);
      long more = again.save(); // and it goes on
      Content last = other.content();
      again.restore(there.get(0));
      again.restore(more);
      assertEquals(last, other.content());
    }
    assertTrue(losses > 20, losses + " losses");
  }

  @Test
  void fileCutAtEveryByte_hasTheStatesThatAreWhole() throws Exception {
    SplittableRandom random = Seed.random("store cut");
    Console console = new Console();
    MemoryDisk disk = new MemoryDisk();
    SnapshotStore<LogSlot> store = over(console, disk);
    Map<Long, Content> model = history(store, console, random, 4);
    List<SnapshotStore.State> states = store.states();
    byte[] whole = disk.bytes;
    long end = StoreLayout.HEADER_SIZE;
    for (int length = 0; length <= whole.length; length += 1 + random.nextInt(3)) {
      MemoryDisk cut = new MemoryDisk();
      cut.bytes = Arrays.copyOf(whole, length);
      Console other = new Console();
      SnapshotStore<LogSlot> again = over(other, cut);
      long sum = end;
      int count = 0;
      while (count < states.size() && sum + states.get(count).bytes() <= length) {
        sum += states.get(count++).bytes();
      }
      assertEquals(count, again.states().size(), "of " + length + " bytes");
      assertEquals(length < end ? length : length - sum, again.lostBytes());
      if (count > 0 && length % 7 == 0) {
        again.restore(count - 1);
        assertEquals(model.get(count - 1L), other.content());
      }
    }
  }

  /** A byte that was changed: the right state, or an error that names the place. */
  @Test
  void damageOfEveryByte_isFoundOrHarmless() throws Exception {
    SplittableRandom random = Seed.random("store damage");
    Console console = new Console();
    MemoryDisk disk = new MemoryDisk();
    SnapshotStore<LogSlot> store = over(console, disk);
    Map<Long, Content> model = history(store, console, random, 4);
    long lastBegin = disk.bytes.length - store.states().get(3).bytes();
    int found = 0;
    int step = Math.max(1, disk.bytes.length / 900);
    for (int at = 0; at < disk.bytes.length; at += 1 + random.nextInt(step)) {
      MemoryDisk damaged = disk.copy();
      damaged.bytes[at] ^= (byte) (1 << random.nextInt(8));
      Console other = new Console();
      try {
        SnapshotStore<LogSlot> again = over(other, damaged);
        assertTrue(
            again.states().size() == 4 || (at >= lastBegin && again.states().size() == 3),
            "byte " + at + ": " + numbers(again));
        assertEquals(again.states().size() < 4, again.lostBytes() > 0);
        for (long state : numbers(again)) {
          try {
            again.restore(state);
            assertEquals(model.get(state), other.content(), "byte " + at);
          } catch (PageDamageException e) {
            found++;
            assertTrue(String.valueOf(e.getMessage()).contains("damaged at byte "), e::toString);
          }
        }
      } catch (PageDamageException e) {
        found++;
      }
    }
    assertTrue(found > 200, found + " found");
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
    assertEquals(console.slots[0].size(), bytes.length);
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
    Files.write(large, new byte[(int) console.slots[1].size() + 1]);
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
    SnapshotStore<LogSlot> store = over(new Console(), disk);
    store.save();
    Console other = new Console();
    other.log.addSlot(2, 10, Console.PAGE);
    SnapshotStore<LogSlot> again = over(other, disk.copy());
    Exception e = assertThrows(IllegalStateException.class, () -> again.restore(0));
    assertTrue(
        String.valueOf(e.getMessage()).startsWith("the guest's slots are not those of state 0"));
  }
}
