package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.core.TransactionActor.Step;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * A random script of transactions, guest writes and clients, made on a memory and on a plain model:
 * the map, every byte, what is found at the edges of slots, dirty pages, what removers get, what
 * listeners are told, and the classes of errors are the same after each step. A script that fails
 * is shrunk, and saved in {@code target}. {@code -Dsmudge.slotModel.seeds=2000
 * -Dsmudge.slotModel.steps=400 -Dsmudge.slotModel.seed=1} for longer runs.
 *
 * <p>It fails, of 60 seeds most often with the first, with each of these left out or changed in the
 * main code: carried bits one page off; bits of the second slot of a merge; new pages dirty, or
 * zero; bits for the remover; pages given back to a slot that went; carried pages armed; a vCPU's
 * cursors dropped; late marks of asynchronous writes, in slots and for removers; {@code
 * regionUnchanged}.
 */
@Timeout(3600)
class SlotTransactionModelTest {
  private static final int SEEDS = Integer.getInteger("smudge.slotModel.seeds", 8);
  private static final int STEPS = Integer.getInteger("smudge.slotModel.steps", 250);
  private static final int MOST_TRIALS = 600;
  private static final int[] SPLIT_SHRINK_GROW_MERGE = {20, 26, 18, 26, 36, 18, 22, 26};

  @ParameterizedTest
  @EnumSource
  void anyScript_memoryAndModel_doTheSame(LogKind kind) throws IOException {
    long first = Long.getLong("smudge.slotModel.seed", System.nanoTime());
    int[] counts = new int[2];
    for (long seed = first; seed < first + SEEDS; seed++) {
      List<Step> script = script(seed);
      String failure = run(script, kind, software -> software, counts);
      if (failure != null) {
        List<Step> shrunk = shrink(script, kind, software -> software);
        Path saved = Path.of("target", "slots-" + kind + "-" + seed + ".txt");
        Files.write(saved, shrunk.stream().map(Step::toString).toList());
        assertNull(
            failure,
            "seed "
                + seed
                + ", "
                + saved
                + ": "
                + run(shrunk, kind, s -> s, counts)
                + "; "
                + shrunk);
      }
    }
    System.out.println(
        "slot model, "
            + kind
            + ": "
            + SEEDS
            + " seeds from "
            + first
            + ", "
            + STEPS
            + " steps each; of steps and commits of transactions "
            + counts[0]
            + " legal, "
            + counts[1]
            + " refused");
  }

  private static List<Step> script(long seed) {
    Random random = new Random(seed);
    List<Step> script = new ArrayList<>();
    script.add(new Step(13, 2, 34, 4482)); // something to begin with
    script.add(new Step(13, 5, 1602, 642));
    script.add(new Step(26, 1, 0, 0));
    script.add(new Step(31, 1, 0, 0));
    while (script.size() < STEPS) {
      int[] n = IntStream.generate(() -> random.nextInt(1 << 20)).limit(4).toArray();
      script.add(new Step(n[0] % TransactionActor.OPERATIONS, n[1], n[2], n[3]));
      for (int operation : n[0] % 31 == 0 ? SPLIT_SHRINK_GROW_MERGE : new int[0]) {
        script.add(new Step(operation, n[1] | 1, random.nextInt(1 << 20), random.nextInt(1 << 20)));
      }
    }
    return script;
  }

  /** What differs, null if nothing. */
  private static @Nullable String run(
      List<Step> script, LogKind kind, UnaryOperator<Tracker> interceptor, int[] counts) {
    String at = "at the end";
    try (TransactionActor actor = new TransactionActor(kind, interceptor)) {
      for (int i = 0; i < script.size(); i++) {
        at = "step " + i + ", " + script.get(i);
        actor.make(script.get(i));
      }
      at = "at the end";
      actor.finish();
      counts[0] += actor.legal;
      counts[1] += actor.illegal;
      return null;
    } catch (AssertionError | RuntimeException e) {
      return at + ": " + e;
    }
  }

  /** Leaves out whatever is not needed to fail. */
  private static List<Step> shrink(
      List<Step> script, LogKind kind, UnaryOperator<Tracker> interceptor) {
    List<Step> least = script;
    int trials = 0;
    int before = Integer.MAX_VALUE;
    for (int chunk = script.size() / 2;
        chunk > 0;
        chunk = chunk == 1 && least.size() < before ? 1 : chunk / 2) { // again, while it helps
      before = least.size();
      for (int at = 0; at < least.size() && trials < MOST_TRIALS; trials++) {
        List<Step> fewer = new ArrayList<>(least);
        fewer.subList(at, Math.min(at + chunk, least.size())).clear();
        if (run(fewer, kind, interceptor, new int[2]) != null) {
          least = fewer;
        } else {
          at += chunk;
        }
      }
    }
    return least;
  }

  /** That the test can fail: what was marked since the last sync is not fetched any more. */
  @Test
  void weakened_noLastFetchOfARemovedSlot_isFoundAndShrunk() {
    UnaryOperator<Tracker> forgets = NoLastFetch::new;
    long seed = 0;
    while (run(script(seed), LogKind.BITMAP, forgets, new int[2]) == null) {
      seed++;
      assertTrue(seed < 50, "never found");
    }
    List<Step> shrunk = shrink(script(seed), LogKind.BITMAP, forgets);
    System.out.println(
        "slot model: a last fetch that is left out is found with seed "
            + seed
            + ", in "
            + shrunk.size()
            + " steps");
    assertTrue(shrunk.size() <= 12, shrunk::toString);
  }

  /** A slot that is replaced is not looked into from the first fetch of the change on. */
  private static final class NoLastFetch extends ForwardingTracker {
    private final Map<Integer, TrackedSlot> newest = new HashMap<>(); // by number

    NoLastFetch(Tracker tracker) {
      super(tracker);
    }

    @Override
    public SlotTracker newSlot(TrackedSlot slot) {
      newest.put(slot.id(), slot); // prepared before the change fetches the one it replaces
      return super.newSlot(slot);
    }

    @Override
    protected void collect(TrackedSlot slot, SlotTracker to, PageWordConsumer sink) {
      if (slot.equals(newest.get(slot.id()))) {
        super.collect(slot, to, sink);
      }
    }
  }
}
