package dev.smudge.snapshot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.snapshot.Console.Content;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import java.nio.file.Path;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The stack ends anywhere in a call: a state is there or it is not, and nothing is lost. */
@Timeout(120)
@Tag("long")
class StackEndsTest {
  private static final int CALLS = 4_000;

  private int deepest; // frames that the stack has room for

  @SuppressWarnings("InfiniteRecursion") // until the stack ends
  private int measure(int depth) {
    deepest = Math.max(deepest, depth);
    return measure(depth + 1) + 1;
  }

  private int dive(int frames, Runnable call) {
    if (frames <= 0) {
      call.run();
      return 0;
    }
    return dive(frames - 1, call) + 1;
  }

  /** What is done in a thread with a small stack. */
  interface Body {
    void run() throws Exception;
  }

  static void withSmallStack(Body body) throws Exception {
    AtomicReference<Throwable> failure = new AtomicReference<>();
    Thread thread =
        new Thread(
            null,
            () -> {
              try {
                body.run();
              } catch (Throwable e) {
                failure.set(e);
              }
            },
            "shallow",
            512 << 10);
    thread.start();
    thread.join();
    if (failure.get() != null) {
      throw new AssertionError(failure.get());
    }
  }

  /** Where so many frames are left, about; returns whether it got through. */
  boolean calledAbove(int frames, Body call) throws Exception {
    try {
      measure(0);
    } catch (StackOverflowError e) {
      // That was its end.
    }
    Exception[] thrown = new Exception[1];
    boolean[] done = new boolean[1];
    int depth = deepest - frames;
    deepest = 0;
    try {
      dive(
          depth,
          () -> {
            try {
              call.run();
              done[0] = true;
            } catch (Exception e) {
              thrown[0] = e;
            }
          });
    } catch (StackOverflowError e) {
      return done[0];
    }
    if (thrown[0] != null) {
      throw thrown[0];
    }
    return done[0];
  }

  @Test
  void calls_stackEndsAtManyDepths_statesAreWhole() throws Exception {
    withSmallStack(this::run);
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
    withSmallStack(this::runStore);
  }

  private static SnapshotStore<LogSlot> over(Console console, MemoryDisk disk) throws Exception {
    return SnapshotStore.over(
        disk,
        Path.of("memory"),
        () -> {},
        console.log.client("store", InitialView.ALL_DIRTY),
        console,
        console);
  }

  private static Set<Long> numbers(SnapshotStore<?> store) {
    return store.states().stream().map(SnapshotStore.State::number).collect(Collectors.toSet());
  }

  private void runStore() throws Exception {
    SplittableRandom random = Seed.random("store's stack");
    Console console = new Console();
    MemoryDisk disk = new MemoryDisk();
    SnapshotStore<LogSlot> store = over(console, disk);
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
      if (delete && !numbers(store).contains(to)) {
        states.remove(to);
      } else {
        assertTrue(!delete || !done);
      }
      assertEquals(states.keySet(), numbers(store), "after call " + i);
      if (random.nextInt(4) == 0) { // another process
        disk = disk.copy();
        console = new Console();
        store = over(console, disk);
        watcher = new Watcher(console);
        assertEquals(states.keySet(), numbers(store), "in the file after call " + i);
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
    SnapshotStore<LogSlot> store = over(console, new MemoryDisk());
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
      Body restore = stored ? () -> store.restore(state) : () -> rewind.jump(frame);
      assertThrows(StackOverflowError.class, restore::run);
      console.beforeWrite = () -> {};
      restore.run();
      assertEquals(then, console.content());
    }
  }
}
