package dev.smudge.core;

import java.util.Random;

/** Random numbers whose seed is printed, and given again with {@code -Dsmudge.seed}. */
final class TestRandom {
  private TestRandom() {}

  static Random of(String test) {
    long seed = Long.getLong("smudge.seed", new Random().nextLong());
    System.out.println(test + ": -Dsmudge.seed=" + seed);
    return new Random(seed);
  }
}
