package dev.smudge.snapshot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.snapshot.Console.Content;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicReference;
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

  @Test
  void calls_stackEndsAtManyDepths_statesAreWhole() throws Exception {
    AtomicReference<Throwable> failure = new AtomicReference<>();
    Thread thread =
        new Thread(
            null,
            () -> {
              try {
                run();
              } catch (Throwable e) {
                failure.set(e);
              }
            },
            "shallow",
            512 << 10);
    thread.start();
    thread.join();
    assertNull(failure.get(), () -> String.valueOf(failure.get()));
  }

  private void run() {
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
      try {
        measure(0);
      } catch (StackOverflowError e) {
        // That was its end.
      }
      boolean save = random.nextBoolean();
      long to = random.nextLong(rewind.newest() + 2);
      boolean done = false;
      try {
        int frames = deepest - random.nextInt(300);
        dive(frames, save ? rewind::save : () -> rewind.jump(to));
        done = true;
      } catch (StackOverflowError e) {
        ends++;
      }
      deepest = 0;
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
}
