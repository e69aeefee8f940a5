package dev.smudge.kvm;

import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.kvm.LockStepActor.Step;
import dev.smudge.kvm.TestMachine.Kind;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A random script, made on the software backend and on KVM: results, sets of pages, counts and
 * error classes are the same after each step, and so is the RAM at the end. A script that fails is
 * shrunk, and saved in {@code target}. {@code -Dsmudge.lockstep.seeds=20
 * -Dsmudge.lockstep.steps=500 -Dsmudge.lockstep.seed=1} for longer runs.
 */
@RequiresKvm
@Timeout(600)
class LockStepTest {
  private static final int SEEDS = Integer.getInteger("smudge.lockstep.seeds", 2);
  private static final int STEPS = Integer.getInteger("smudge.lockstep.steps", 250);
  private static final int MOST_TRIALS = 300;

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void anyScript_bothBackends_doTheSame(boolean ring) throws IOException {
    long first = Long.getLong("smudge.lockstep.seed", System.nanoTime());
    for (long seed = first; seed < first + SEEDS; seed++) {
      List<Step> script = script(seed);
      String failure = run(script, ring, real -> real);
      if (failure != null) {
        List<Step> shrunk = shrink(script, ring, real -> real);
        Path saved = Path.of("target", "lockstep-" + (ring ? "ring-" : "bitmap-") + seed + ".txt");
        Files.write(saved, shrunk.stream().map(Step::toString).toList());
        assertNull(failure, "seed " + seed + ", " + saved + ": " + run(shrunk, ring, b -> b));
      }
    }
    System.out.println(
        "lock step, "
            + (ring ? "rings" : "bitmaps")
            + ": "
            + SEEDS
            + " seeds from "
            + first
            + ", "
            + STEPS
            + " steps each");
  }

  private static List<Step> script(long seed) {
    Random random = new Random(seed);
    List<Step> script = new ArrayList<>();
    script.add(new Step(18, 1, 100, 120)); // something to begin with
    script.add(new Step(15, 1, 0, 0));
    while (script.size() < STEPS) {
      int[] n = IntStream.generate(() -> random.nextInt(1 << 20)).limit(4).toArray();
      script.add(new Step(n[0] % LockStepActor.OPERATIONS, n[1], n[2], n[3]));
    }
    return script;
  }

  /** What differs, null if nothing. */
  private static @Nullable String run(
      List<Step> script, boolean ring, UnaryOperator<Tracker> interceptor) {
    try (LockStepActor software =
            new LockStepActor(ring ? Kind.SOFTWARE_RING : Kind.SOFTWARE, real -> real);
        LockStepActor kvm = new LockStepActor(ring ? Kind.KVM_RING : Kind.KVM, interceptor)) {
      for (int i = 0; i < script.size(); i++) {
        String expected = software.make(script.get(i));
        String found = kvm.make(script.get(i));
        if (!expected.equals(found)) {
          return "step " + i + ", " + script.get(i) + ": software " + expected + ", KVM " + found;
        }
      }
      return LockStepActor.difference(software, kvm);
    }
  }

  /** Leaves out whatever is not needed to fail. */
  private static List<Step> shrink(
      List<Step> script, boolean ring, UnaryOperator<Tracker> interceptor) {
    List<Step> least = script;
    int trials = 0;
    for (int chunk = script.size() / 2; chunk > 0; chunk /= 2) {
      for (int at = 0; at < least.size() && trials < MOST_TRIALS; trials++) {
        List<Step> fewer = new ArrayList<>(least);
        fewer.subList(at, Math.min(at + chunk, least.size())).clear();
        if (run(fewer, ring, interceptor) != null) {
          least = fewer;
        } else {
          at += chunk;
        }
      }
    }
    return least;
  }

  /** That the test can fail: KVM clears everything in the range, not what was fetched. */
  @Test
  void clearOfMoreThanWasFetched_isFoundAndShrunk() {
    UnaryOperator<Tracker> clearsAll = ClearsAll::new;
    long seed = 0;
    List<Step> script = script(seed);
    while (run(script, false, clearsAll) == null) {
      seed++;
      assertTrue(seed < 50, "never found");
      script = script(seed);
    }
    List<Step> shrunk = shrink(script, false, clearsAll);
    System.out.println(
        "lock step: a clear of too much is found with seed "
            + seed
            + ", in "
            + shrunk.size()
            + " steps");
    assertTrue(shrunk.size() <= 12, shrunk::toString);
  }

  private static final class ClearsAll extends ForwardingTracker {
    ClearsAll(Tracker backend) {
      super(backend);
    }

    @Override
    protected void clear(
        TrackedSlot slot, SlotTracker to, long firstPage, long pageCount, long[] bitmap) {
      long[] all = new long[bitmap.length];
      Arrays.fill(all, -1L);
      super.clear(slot, to, firstPage, pageCount, all);
    }
  }
}
