package dev.smudge.snapshot;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** The seed of random tests: printed; set {@code -Dsmudge.seed} to repeat a run. */
final class Seed {
  static final long SEED = Long.getLong("smudge.seed", System.nanoTime());

  /** Steps of a random test: {@code -Dsmudge.steps}. */
  static final int STEPS = Integer.getInteger("smudge.steps", 10_000);

  static {
    System.out.println("snapshot: -Dsmudge.seed=" + SEED + " -Dsmudge.steps=" + STEPS);
  }

  private Seed() {}

  static SplittableRandom random(String name) {
    return new SplittableRandom(SEED ^ 0x9E37_79B9_7F4A_7C15L * name.hashCode());
  }

  static <T> T any(SplittableRandom random, Iterable<T> all) {
    List<T> list = new ArrayList<>();
    all.forEach(list::add);
    return list.get(random.nextInt(list.size()));
  }
}
