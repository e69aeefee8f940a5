package dev.smudge.snapshot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.snapshot.Console.Content;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.testbase.Seed;
import dev.smudge.testbase.StackSqueeze;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The stack ends anywhere in a call: a state is there or it is not, and nothing is lost. */
@Timeout(120)
@Tag("long")
class StackEndsTest {
  private static final int CALLS = 4_000;

  /** Where so many frames are left, about; returns whether it got through. */
  static boolean calledAbove(int frames, StackSqueeze.Call call) throws Exception {
    Throwable thrown = StackSqueeze.callAbove(frames, call);
    if (thrown instanceof Exception e) {
      throw e;
    }
    if (thrown != null && !(thrown instanceof StackOverflowError)) {
      throw new AssertionError(thrown);
    }
    return thrown == null;
  }

  @Test
  void calls_stackEndsAtManyDepths_statesAreWhole() throws Exception {
    StackSqueeze.withSmallStack(this::run);
  }

  private void run() throws Exception {
    SplittableRandom random = Seed.random("stack");
    Console console = new Console();
    Rewind<LogSlot> rewind =
        Rewind.over(console.log.client("rewind", InitialView.ALL_DIRTY), console, console, 1 << 16);
    Watcher watcher = new Watcher(console);
    TreeMap<Long, Content> states = new TreeMap<>();
    states.put(rewind.save(), console.content());
    int ends = 0;
    for (int i = 0; i < CALLS; i++) {
      console.run(random);
      Content now = console.content();
      long state = rewind.current() + 1;
      boolean save = random.nextBoolean();
      long to = random.nextLong(rewind.newest() + 2);
      boolean done = calledAbove(random.nextInt(300), save ? rewind::save : () -> rewind.jump(to));
      ends += done ? 0 : 1;
      long newest = rewind.newest();
      if (save && rewind.current() == state && newest == state) {
        states.tailMap(state).clear();
        states.put(state, now); // it is there, whether the call has come to its end or not
      } else {
        assertTrue(!save || !done);
      }
      states.headMap(rewind.oldest()).clear();
      states.tailMap(newest, false).clear();
      if (newest < 0) {
        states.clear();
        states.put(rewind.save(), console.content());
      }
      rewind.jump(random.nextLong(rewind.newest() + 1));
      assertEquals(states.get(rewind.current()), console.content(), rewind + " after " + i);
      watcher.check();
    }
    assertTrue(ends > CALLS / 20, ends + " ends of the stack");
    System.out.println("stack ended " + ends + " times in " + CALLS + " calls");
  }

  @Test
  void callsOfAStore_stackEndsAtManyDepths_statesAreWholeInTheFileToo() throws Exception {
    StackSqueeze.withSmallStack(this::runStore);
  }

  private void runStore() throws Exception {
    SplittableRandom random = Seed.random("store's stack");
    Console console = new Console();
    MemoryDisk disk = new MemoryDisk();
    SnapshotStore<LogSlot> store = Stores.over(console, disk);
    Watcher watcher = new Watcher(console);
    TreeMap<Long, Content> states = new TreeMap<>();
    states.put(store.save(), console.content());
    int ends = 0;
    for (int i = 0; i < CALLS / 10; i++) {
      console.run(random);
      Content now = console.content();
      long any = random.nextInt(states.size());
      long to = states.keySet().stream().skip(any).findFirst().orElseThrow();
      SnapshotStore<LogSlot> of = store;
      boolean save = random.nextBoolean();
      boolean delete = !save && to != store.current() && random.nextInt(3) == 0;
      boolean done =
          calledAbove(
              random.nextInt(300),
              () -> {
                if (save) {
                  of.save();
                } else if (delete) {
                  of.delete(to);
                } else {
                  of.restore(to);
                }
              });
      ends += done ? 0 : 1;
      if (save && !states.containsKey(store.current())) {
        states.put(store.current(), now); // whether the call has come to its end or not
      } else {
        assertTrue(!save || !done);
      }
      if (delete && !Stores.numbers(store).contains(to)) {
        states.remove(to);
      } else {
        assertTrue(!delete || !done);
      }
      assertEquals(List.copyOf(states.keySet()), Stores.numbers(store), "after call " + i);
      if (random.nextInt(4) == 0) { // another process
        disk = disk.copy();
        console = new Console();
        store = Stores.over(console, disk);
        watcher = new Watcher(console);
        assertEquals(
            List.copyOf(states.keySet()), Stores.numbers(store), "in the file after call " + i);
        store.restore(states.lastKey());
      }
      long next = states.keySet().stream().skip(any / 2).findFirst().orElseThrow();
      store.restore(next);
      assertEquals(states.get(next), console.content(), "state " + next + " after call " + i);
      watcher.check();
    }
    assertTrue(ends > CALLS / 200, ends + " ends of the stack");
    System.out.println("stack of a store ended " + ends + " times");
  }

  /** A page that a set has lost, as it were, because the stack ended in it. */
  @Test
  void restore_stackHasEndedInIt_everyPageIsLookedAtOnceMore() throws Exception {
    Console console = new Console();
    SnapshotStore<LogSlot> store = Stores.over(console, new MemoryDisk());
    Rewind<LogSlot> rewind =
        Rewind.over(console.log.client("r", InitialView.ALL_DIRTY), console, console, 1 << 20);
    long state = store.save();
    long frame = rewind.save();
    Content then = console.content();
    for (boolean stored : new boolean[] {true, false}) {
      console.poke(0, 0, (byte) 1);
      console.ram[0][9 * Console.PAGE] = 1; // without a mark
      console.beforeWrite =
          () -> {
            throw new StackOverflowError("planted");
          };
      StackSqueeze.Call restore = stored ? () -> store.restore(state) : () -> rewind.jump(frame);
      assertThrows(StackOverflowError.class, restore::run);
      console.beforeWrite = () -> {};
      restore.run();
      assertEquals(then, console.content());
    }
  }

  /** A channel whose close is cut short keeps the system's lock until it is garbage. */
  @Test
  void close_stackEnds_fileCanBeOpenedAgain(@TempDir Path directory) {
    Console console = new Console();
    int[] number = new int[1];
    List<SnapshotStore<LogSlot>> kept = new ArrayList<>(); // so none is garbage
    StackSqueeze.squeeze(
        4, // steps per frame
        () -> kept.add(open(directory.resolve("states" + number[0]), console)),
        () -> kept.get(number[0]).close(),
        thrown -> {
          kept.get(number[0]).close();
          open(directory.resolve("states" + number[0]), console).close();
          number[0]++;
        });
    assertTrue(number[0] > 20, number[0] + " closes");
  }

  private static SnapshotStore<LogSlot> open(Path file, Console console) throws IOException {
    return SnapshotStore.open(
        file, console.log.client("s", InitialView.ALL_DIRTY), console, console);
  }
}
