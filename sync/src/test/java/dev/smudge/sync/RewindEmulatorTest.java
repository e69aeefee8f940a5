package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.testbase.Script;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Embedder shape 2: Java arrays (an int a guest byte), one thread, a frame as the natural stop. */
class RewindEmulatorTest {
  private static final int PAGE = 256;
  private static final int CELLS = 64 * 1024 + 100; // the last page is not whole
  private static final int FRAMES = 400;

  /** What a frame changed: the pages as they were before. */
  private record Delta(List<Integer> firstCells, List<int[]> before) {}

  /** The console: RAM, and a rewind buffer made of deltas. */
  private static final class Console {
    final int[] ram = new int[CELLS];
    private final int[] lastFrame = new int[CELLS];
    private final DirtyLog log = DirtyLog.builder().buildStopped();
    private final LogSlot slot = log.addSlot(0, (CELLS + PAGE - 1) / PAGE, PAGE);
    private final DirtyClient<LogSlot> rewind = log.client("rewind", InitialView.NONE_DIRTY);
    private final Deque<Delta> deltas = new ArrayDeque<>();
    int pagesSaved;

    void poke(int cell, int value) {
      ram[cell] = value;
      log.mark(slot, cell, 1);
    }

    void fill(int cell, int length, int value) {
      Arrays.fill(ram, cell, cell + length, value);
      log.mark(slot, cell, length);
    }

    void endOfFrame() {
      Delta delta = new Delta(new ArrayList<>(), new ArrayList<>());
      try (DirtyBatch<LogSlot> frame = rewind.take()) {
        frame.forEachRun((id, first, count) -> {
          int from = (int) first * PAGE;
          int to = Math.min(CELLS, from + (int) count * PAGE);
          delta.firstCells.add(from);
          delta.before.add(Arrays.copyOfRange(lastFrame, from, to));
          System.arraycopy(ram, from, lastFrame, from, to - from);
          pagesSaved += (int) count;
        });
        frame.commit();
      }
      deltas.addLast(delta);
    }

    void rewindOneFrame() {
      Delta delta = deltas.removeLast();
      for (int i = 0; i < delta.before.size(); i++) {
        int[] before = delta.before.get(i);
        int from = delta.firstCells.get(i);
        System.arraycopy(before, 0, ram, from, before.length);
        System.arraycopy(before, 0, lastFrame, from, before.length);
      }
    }
  }

  @Test
  void rewind_randomFrames_equalsFullCopies() {
    Script.run(
        "rewind",
        script -> {
          Console console = new Console();
          Deque<int[]> oracle = new ArrayDeque<>();
          oracle.addLast(console.ram.clone());
          int frames = 0;
          for (int i = 0; i < FRAMES; i++) {
            if (oracle.size() > 1 && script.random.nextInt(4) == 0) {
              script.step("rewind");
              console.rewindOneFrame();
              oracle.removeLast();
            } else {
              frame(script, console);
              oracle.addLast(console.ram.clone());
              frames++;
            }
            assertArrayEquals(oracle.getLast(), console.ram);
          }
          while (oracle.size() > 1) {
            console.rewindOneFrame();
            oracle.removeLast();
            assertArrayEquals(oracle.getLast(), console.ram);
          }
          assertTrue(console.pagesSaved < frames * 64, "deltas, not full copies");
        });
  }

  private static void frame(Script script, Console console) {
    for (int i = script.random.nextInt(20); i > 0; i--) {
      int cell = script.random.nextInt(CELLS);
      int value = script.random.nextInt();
      if (script.random.nextInt(6) == 0) {
        int length = script.random.nextInt(Math.min(700, CELLS - cell));
        script.step("fill " + cell + " " + length);
        console.fill(cell, length, value);
      } else {
        script.step("poke " + cell);
        console.poke(cell, value);
      }
    }
    script.step("end of frame");
    console.endOfFrame();
  }
}
