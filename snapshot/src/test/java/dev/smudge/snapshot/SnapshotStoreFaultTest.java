package dev.smudge.snapshot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.snapshot.Console.Content;
import dev.smudge.snapshot.stream.PageDamageException;
import dev.smudge.sync.LogSlot;
import dev.smudge.testbase.Seed;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A store whose disk fails, is cut off or damaged, loses no state that was saved. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class SnapshotStoreFaultTest {
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
    SnapshotStore<LogSlot> store = Stores.over(console, disk);
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
        assertEquals(new ArrayList<>(model.keySet()), Stores.numbers(store));
        assertEquals(store.fileBytes(), disk.bytes.length, "it keeps the room that it had found");
      }
      disk.untilFault = -1;
      if (saved < 0 && n % 2 == 0 && model.size() > 3) { // a shorter group in its place
        long gone =
            Stores.numbers(store).stream().filter(s -> s != store.current()).findFirst().get();
        store.delete(gone);
        model.remove(gone);
        assertEquals(0, Stores.over(new Console(), disk.copy()).lostBytes());
      }
      if (saved < 0) {
        saved = store.save();
      }
      model.put(saved, console.content());
      long state = Seed.any(random, model.keySet());
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
      assertEquals(new ArrayList<>(model.keySet()), Stores.numbers(store));
      watcher.check();
    }
    assertTrue(faults > 50, faults + " faults");
    checkAll(disk.copy(), model);
  }

  private static void checkAll(MemoryDisk disk, Map<Long, Content> model) throws IOException {
    Console other = new Console();
    SnapshotStore<LogSlot> again = Stores.over(other, disk);
    assertEquals(new ArrayList<>(model.keySet()), Stores.numbers(again));
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
    SnapshotStore<LogSlot> store = Stores.over(console, new MemoryDisk());
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
          long state = Seed.any(random, model.keySet());
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
      SnapshotStore<LogSlot> store = Stores.over(console, disk);
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
      SnapshotStore<LogSlot> again = Stores.over(other, left);
      List<Long> there = Stores.numbers(again);
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
    SnapshotStore<LogSlot> store = Stores.over(console, disk);
    Map<Long, Content> model = history(store, console, random, 4);
    List<SnapshotStore.State> states = store.states();
    byte[] whole = disk.bytes;
    long end = StoreLayout.HEADER_SIZE;
    for (int length = 0; length <= whole.length; length += 1 + random.nextInt(3)) {
      MemoryDisk cut = new MemoryDisk();
      cut.bytes = Arrays.copyOf(whole, length);
      Console other = new Console();
      SnapshotStore<LogSlot> again = Stores.over(other, cut);
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
    SnapshotStore<LogSlot> store = Stores.over(console, disk);
    Map<Long, Content> model = history(store, console, random, 4);
    long lastBegin = disk.bytes.length - store.states().get(3).bytes();
    int found = 0;
    int step = Math.max(1, disk.bytes.length / 900);
    for (int at = 0; at < disk.bytes.length; at += 1 + random.nextInt(step)) {
      MemoryDisk damaged = disk.copy();
      damaged.bytes[at] ^= (byte) (1 << random.nextInt(8));
      Console other = new Console();
      try {
        SnapshotStore<LogSlot> again = Stores.over(other, damaged);
        assertTrue(
            again.states().size() == 4 || (at >= lastBegin && again.states().size() == 3),
            "byte " + at + ": " + Stores.numbers(again));
        assertEquals(again.states().size() < 4, again.lostBytes() > 0);
        for (long state : Stores.numbers(again)) {
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
}
