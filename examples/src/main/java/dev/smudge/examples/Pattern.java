package dev.smudge.examples;

/** Where a native guest writes. */
enum Pattern {
  /** Anywhere in its part. */
  RANDOM,
  /** From one end of its part to the other, and again. */
  SEQUENTIAL,
  /** 15 of 16 writes in a 64th of its part, the others anywhere. */
  HOT
}
