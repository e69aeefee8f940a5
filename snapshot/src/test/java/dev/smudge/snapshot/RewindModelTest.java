package dev.smudge.snapshot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.snapshot.Console.Content;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.RemovedSlot;
import dev.smudge.sync.SlotChange;
import dev.smudge.testbase.Seed;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Rewind against full copies of the guest, one per state. */
class RewindModelTest {
  /** The console, its rewind, and what each state has to be. */
  private static final class World {
    final Console console = new Console();
    final Rewind<LogSlot> rewind;
    final Watcher watcher = new Watcher(console);
    final TreeMap<Long, Content> states = new TreeMap<>();
    final SplittableRandom random;
    long current = -1;

    World(SplittableRandom random, long budget) {
      this.random = random;
      this.rewind =
          Rewind.over(
              console.log.client("rewind", InitialView.ALL_DIRTY), console, console, budget);
    }

    void forget() {
      states.headMap(rewind.oldest()).clear();
    }

    void save() {
      states.tailMap(current, false).clear();
      Content content = console.content();
      long state = rewind.save();
      assertEquals(current + 1, state);
      saved(state, content);
    }

    void saved(long state, Content content) {
      states.put(state, content);
      current = state;
      forget();
    }

    /** The states that are there go on being what they were; thinned ones are found by number. */
    void restored(long state) {
      current = state;
      assertEquals(states.get(state), console.content(), "state " + state);
      assertEquals(current, rewind.current());
    }

    void step() {
      switch (random.nextInt(12)) {
        case 0 -> {
          boolean any = rewind.back();
          assertEquals(current > rewind.oldest(), any);
          if (any) {
            assertTrue(rewind.current() < current);
            restored(rewind.current());
          }
        }
        case 1 -> {
          boolean any = rewind.forward();
          assertEquals(current < rewind.newest(), any);
          if (any) {
            assertTrue(rewind.current() > current);
            restored(rewind.current());
          }
        }
        case 2 -> {
          long to = random.nextLong(rewind.newest() + 3);
          long at = rewind.jump(to);
          assertTrue(at <= Math.max(to, rewind.oldest()), at + " for " + to);
          restored(at);
        }
        case 3 -> restored(rewind.jump(current)); // drops what was not saved
        default -> {
          console.run(random);
          if (random.nextInt(4) > 0) {
            save();
          }
        }
      }
      if (random.nextInt(3) == 0) {
        watcher.check();
      }
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {1 << 16, 1 << 20, 1 << 24})
  void steps_random_equalFullCopies(long budget) {
    World world = new World(Seed.random("rewind" + budget), budget);
    world.console.run(world.random);
    world.save();
    for (int i = 0; i < Seed.STEPS; i++) {
      world.step();
      assertTrue(world.rewind.usedBytes() <= budget);
    }
    world.rewind.jump(0);
    long states = 1;
    for (world.restored(world.rewind.current()); world.rewind.forward(); states++) {
      world.restored(world.rewind.current());
    }
    assertEquals(states, world.rewind.states());
    while (world.rewind.back()) {
      world.restored(world.rewind.current());
    }
    world.watcher.check();
  }

  /** A port and a machine that throw at each of their calls in turn. */
  @Test
  void faults_atEveryCall_aStateIsThereOrNot_andNothingIsLost() {
    SplittableRandom random = Seed.random("faults");
    World world = new World(random, 1 << 16);
    world.console.run(random);
    world.save();
    int faults = 0;
    for (int i = 0; i < Seed.STEPS; i++) {
      Console console = world.console;
      if (random.nextInt(3) == 0) {
        console.untilFault = random.nextInt(random.nextBoolean() ? 60 : 6);
      }
      long newest = world.rewind.newest();
      try {
        if (random.nextBoolean()) {
          world.rewind.jump(random.nextLong(newest + 2));
          world.restored(world.rewind.current());
        } else {
          console.run(random);
          Content before = console.content();
          long state = world.rewind.save();
          world.states.tailMap(state).clear();
          world.saved(state, before);
        }
      } catch (Console.Fault e) {
        faults++;
        world.current = world.rewind.current();
        world.forget();
        world.states.tailMap(world.rewind.newest(), false).clear();
        if (world.rewind.newest() < world.current) {
          throw new AssertionError(world.rewind.toString(), e);
        }
      }
      console.untilFault = -1;
      if (random.nextInt(4) == 0) {
        world.watcher.check();
      }
      if (random.nextInt(4) == 0 && world.rewind.states() > 0) { // what it says, it restores
        long to = random.nextLong(world.rewind.newest() + 1);
        world.rewind.jump(to);
        world.restored(world.rewind.current());
        world.watcher.check();
      } else if (world.rewind.states() == 0) {
        world.saved(world.rewind.save(), console.content());
      }
    }
    assertTrue(faults > Seed.STEPS / 20, faults + " faults");
  }

  @Test
  void restored_isNotNewWork_andIsDirtyForOthers() {
    Console console = new Console();
    Rewind<LogSlot> rewind =
        Rewind.over(console.log.client("rewind", InitialView.ALL_DIRTY), console, 1 << 20);
    rewind.save();
    console.poke(0, 1000, (byte) 1);
    rewind.save();
    Watcher watcher = new Watcher(console);
    watcher.check();
    watcher.pages = 0;
    assertTrue(rewind.back());
    assertEquals(0, console.ram[0][1000]);
    watcher.check();
    assertEquals(1, watcher.pages);
    long used = rewind.usedBytes();
    assertEquals(1, rewind.save()); // in place of the one in front
    assertTrue(rewind.usedBytes() < used, "a state without a difference");
    assertFalse(rewind.forward());
  }

  /** Another client may take between the mark before the write and the write. */
  @Test
  void restore_othersTakeMeanwhile_areToldAgainAfterTheWrite() {
    Console console = new Console();
    Rewind<LogSlot> rewind =
        Rewind.over(console.log.client("rewind", InitialView.ALL_DIRTY), console, 1 << 20);
    rewind.save();
    console.fill(0, 1000, 600, (byte) 1);
    rewind.save();
    Watcher watcher = new Watcher(console);
    watcher.check();
    console.beforeWrite = watcher::take;
    assertTrue(rewind.back());
    watcher.check();
    assertTrue(rewind.forward());
    watcher.check();
    Reset<LogSlot> reset =
        Reset.toNow(console.log.client("reset", InitialView.ALL_DIRTY), console, console);
    console.fill(0, 1000, 600, (byte) 2);
    reset.reset();
    watcher.check();
  }

  @Test
  void thinning_manyStates_recentAreAllThere_oldOnesSparse() {
    Console console = new Console();
    Rewind<LogSlot> rewind =
        Rewind.over(console.log.client("rewind", InitialView.ALL_DIRTY), console, 1 << 16);
    for (int i = 0; i < 5000; i++) {
      console.poke(0, i % 7 * 300, (byte) i);
      assertEquals(i, rewind.save());
    }
    assertEquals(4999, rewind.newest());
    long[] gaps = new long[9];
    long last = rewind.current();
    int recent = 0;
    while (rewind.back()) {
      long gap = last - rewind.current();
      assertTrue(gap <= 8, gap + " before " + last);
      gaps[(int) gap]++;
      last = rewind.current();
      recent += gap == 1 ? 1 : 0;
    }
    assertTrue(gaps[1] > 100 && gaps[2] > 50 && gaps[4] > 20 && gaps[8] > 10, () -> last(gaps));
    assertEquals(last, rewind.oldest());
    assertTrue(4999 - rewind.oldest() > 2L * recent, "goes back further than without thinning");
  }

  private static String last(long[] gaps) {
    return Arrays.toString(gaps);
  }

  @Test
  void save_moreThanTheBudget_thatStateAlone() {
    Console console = new Console();
    Rewind<LogSlot> rewind =
        Rewind.over(console.log.client("rewind", InitialView.ALL_DIRTY), console, 1 << 16);
    rewind.save();
    console.poke(0, 0, (byte) 1);
    rewind.save();
    Seed.random("noise").nextBytes(console.ram[0]);
    console.log.mark(console.slots[0], 0, Console.SIZE);
    assertEquals(2, rewind.save());
    assertEquals(2, rewind.oldest());
    assertEquals(1, rewind.states());
    assertFalse(rewind.back());
    Content content = console.content();
    console.fill(0, 0, 500, (byte) 9);
    assertEquals(2, rewind.jump(0));
    assertEquals(content, console.content());
  }

  @Test
  void slotAdded_countsAsZeroBefore_removedIsRefused() {
    Console console = new Console();
    Rewind<LogSlot> rewind =
        Rewind.over(console.log.client("rewind", InitialView.ALL_DIRTY), console, 1 << 20);
    console.poke(0, 0, (byte) 1);
    rewind.save();
    SlotChange change = console.log.change();
    change.remove(console.slots[1]);
    change.commit().forEach(RemovedSlot::close);
    console.poke(0, 0, (byte) 2);
    assertThrows(IllegalStateException.class, rewind::save);
    assertThrows(IllegalStateException.class, rewind::back);
    rewind.close();
    Rewind<LogSlot> anew =
        Rewind.over(console.log.client("rewind", InitialView.ALL_DIRTY), console, 1 << 20);
    anew.save();
    console.slots[1] = console.log.addSlot(1, 8, Console.PAGE);
    console.fill(1, 0, 8 * Console.PAGE, (byte) 7);
    anew.save();
    assertTrue(anew.back());
    assertEquals(0, console.ram[1][99]);
    assertTrue(anew.forward());
    assertEquals(7, console.ram[1][99]);
  }

  @Test
  void calls_badInput_refused() {
    Console console = new Console();
    var client = console.log.client("rewind", InitialView.ALL_DIRTY);
    assertThrows(IllegalArgumentException.class, () -> Rewind.over(client, console, 65_535));
    assertThrows(
        IllegalArgumentException.class, () -> Rewind.over(client, console, (1L << 31) + 1));
    Rewind<LogSlot> rewind = Rewind.over(client, console, 1 << 16);
    assertThrows(IllegalStateException.class, rewind::back);
    assertThrows(IllegalStateException.class, () -> rewind.jump(0));
    rewind.save();
    assertThrows(IllegalArgumentException.class, () -> rewind.jump(-1));
    assertFalse(rewind.back());
    rewind.close();
    assertThrows(IllegalStateException.class, rewind::save);
  }
}
