package dev.smudge.bitmap;

/**
 * Makes the arrays of page sets. It is a class of its own so that a test can make any one of these
 * allocations fail; outside of that test there is one instance and no subclass.
 */
class ArrayFactory {
  static final ArrayFactory HEAP = new ArrayFactory();

  long[] longs(int length) {
    return new long[length];
  }

  int[] ints(int length) {
    return new int[length];
  }
}
