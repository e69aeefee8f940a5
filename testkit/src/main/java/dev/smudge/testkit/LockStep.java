package dev.smudge.testkit;

import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.testkit.LockStepActor.Step;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Random scripts, made on two machines: results, sets of pages, counts and error classes are the
 * same after each step, and so is the RAM at the end. A script that fails is shrunk, and saved in
 * {@code target}. {@code -Dsmudge.lockstep.seeds=20 -Dsmudge.lockstep.steps=500
 * -Dsmudge.lockstep.seed=1} for longer runs.
 */
public final class LockStep {
  private static final int SEEDS = Integer.getInteger("smudge.lockstep.seeds", 2);
  private static final int STEPS = Integer.getInteger("smudge.lockstep.steps", 250);
  private static final int MOST_TRIALS = 300;

  private final String name;
  private final GuestMachine.Factory expected;
  private final GuestMachine.Factory tested;
  private boolean withoutTakeSynced;

  /**
   * Compares machines of two kinds. Either both have rings, or neither has.
   *
   * @param name what is printed, and begins the names of files
   * @param expected the kind that is right
   * @param tested the kind that is compared with it
   */
  public LockStep(String name, GuestMachine.Factory expected, GuestMachine.Factory tested) {
    this.name = name;
    this.expected = expected;
    this.tested = tested;
  }

  /**
   * Leaves out what trackers do alike only where each looks at marks of its own: {@code takeSynced}
   * of a page that a device has written and the guest writes again before it, and clears behind the
   * log's back.
   *
   * @return this
   */
  public LockStep withoutTakeSynced() {
    withoutTakeSynced = true;
    return this;
  }

  /** Fails if a script of a few random seeds does not do the same on both. */
  public void assertSame() throws IOException {
    long first = Long.getLong("smudge.lockstep.seed", System.nanoTime());
    for (long seed = first; seed < first + SEEDS; seed++) {
      List<Step> script = script(seed);
      String failure = run(script);
      if (failure != null) {
        List<Step> shrunk = shrink(script);
        Path saved = Path.of("target", "lockstep-" + name + "-" + seed + ".txt");
        Files.write(saved, shrunk.stream().map(Step::toString).toList());
        assertNull(failure, "seed " + seed + ", " + saved + ": " + run(shrunk));
      }
    }
    System.out.println(
        "lock step, "
            + name
            + ": "
            + SEEDS
            + " seeds from "
            + first
            + ", "
            + STEPS
            + " steps each");
  }

  /**
   * Fails if none of the first 50 seeds finds a fault that was planted in the tested machine, or if
   * the script that does cannot be shrunk to 12 steps.
   */
  public void assertFindsFault() {
    long seed = 0;
    List<Step> script = script(seed);
    while (run(script) == null) {
      seed++;
      assertTrue(seed < 50, "never found");
      script = script(seed);
    }
    List<Step> shrunk = shrink(script);
    System.out.println(
        "lock step, " + name + ": found with seed " + seed + ", in " + shrunk.size() + " steps");
    assertTrue(shrunk.size() <= 12, shrunk::toString);
  }

  private List<Step> script(long seed) {
    Random random = new Random(seed);
    List<Step> script = new ArrayList<>();
    script.add(new Step(18, 1, 100, 120)); // something to begin with
    script.add(new Step(15, 1, 0, 0));
    while (script.size() < STEPS) {
      int[] n = IntStream.generate(() -> random.nextInt(1 << 20)).limit(4).toArray();
      int operation = n[0] % LockStepActor.OPERATIONS;
      if (!withoutTakeSynced || !LockStepActor.isOfMarks(operation)) {
        script.add(new Step(operation, n[1], n[2], n[3]));
      }
    }
    return script;
  }

  /**
   * What differs, null if nothing. Where the kernel moves pages, pages found too many count if they
   * are found again: no second run of the script meets the same move.
   */
  private @Nullable String run(List<Step> script) {
    Difference difference = runOnce(script);
    if (difference != null && difference.isOfMoves) {
      System.out.println("lock step, " + name + ", made again: " + difference.text);
      difference = runOnce(script);
    }
    return difference == null ? null : difference.text;
  }

  private record Difference(String text, boolean isOfMoves) {}

  private @Nullable Difference runOnce(List<Step> script) {
    try (LockStepActor right = new LockStepActor(expected);
        LockStepActor other = new LockStepActor(tested)) {
      for (int i = 0; i < script.size(); i++) {
        Object result = right.make(script.get(i));
        Object found = other.make(script.get(i));
        if (!result.equals(found)) {
          String text = script.get(i) + ": expected " + result + ", found " + found;
          boolean isOfMoves = other.machine.pagesMove() && isAllOf(result, found);
          return new Difference("step " + i + ", " + text, isOfMoves);
        }
      }
      String ram = LockStepActor.difference(right, other);
      return ram == null ? null : new Difference(ram, false);
    }
  }

  /** Whether all pages of the one result, a number or a set or several, are in the other. */
  private static boolean isAllOf(Object expected, Object found) {
    if (expected instanceof Long few && found instanceof Long many) {
      return few <= many;
    }
    if (expected instanceof Set<?> few && found instanceof Set<?> many) {
      return many.containsAll(few);
    }
    if (expected instanceof List<?> few && found instanceof List<?> many) {
      return few.size() == many.size()
          && IntStream.range(0, few.size()).allMatch(i -> isAllOf(few.get(i), many.get(i)));
    }
    return expected.equals(found);
  }

  /** Leaves out whatever is not needed to fail. */
  private List<Step> shrink(List<Step> script) {
    List<Step> least = script;
    int trials = 0;
    for (int chunk = script.size() / 2; chunk > 0; chunk /= 2) {
      for (int at = 0; at < least.size() && trials < MOST_TRIALS; trials++) {
        List<Step> fewer = new ArrayList<>(least);
        fewer.subList(at, Math.min(at + chunk, least.size())).clear();
        if (run(fewer) != null) {
          least = fewer;
        } else {
          at += chunk;
        }
      }
    }
    return least;
  }
}
