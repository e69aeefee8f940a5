package dev.smudge.testbase;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** The seed of random tests: printed; set {@code -Dsmudge.seed} to repeat a run. */
public final class Seed {
  static final long SEED = Long.getLong("smudge.seed", System.nanoTime());

  /** Steps of a random test: {@code -Dsmudge.steps}. */
  public static final int STEPS = Integer.getInteger("smudge.steps", 10_000);

  static {
    System.out.println("random tests: -Dsmudge.seed=" + SEED + " -Dsmudge.steps=" + STEPS);
  }

  private Seed() {}

  /** Numbers of a test's own, the same for the same seed. */
  public static SplittableRandom random(String name) {
    return new SplittableRandom(SEED ^ 0x9E37_79B9_7F4A_7C15L * name.hashCode());
  }

  /** One of several, of which there is at least one. */
  public static <T> T any(SplittableRandom random, Iterable<T> all) {
    List<T> list = new ArrayList<>();
    all.forEach(list::add);
    return list.get(random.nextInt(list.size()));
  }
}
