package dev.smudge.snapshot;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * The difference of two pages: their XOR, without its zeroes. It leads from either page to the
 * other.
 *
 * <pre>
 *   run    u16 words to skip | u16 words that follow (low) | that many words of 8 bytes
 *   delta  runs, until its length ends; a run of nothing fills it up to a multiple of 8 bytes
 * </pre>
 *
 * <p>A single word that is the same in both pages does not end a run: the header of the next one
 * would cost half as much as the word, and the look for it more.
 */
final class XorCode {
  private static final VarHandle LONG =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle INT =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
  private static final int MOST_WORDS = 0xffff;

  private XorCode() {}

  /** {@return the most bytes that the difference of two such pages can have, a multiple of 8} */
  static int worst(int pageBytes) {
    return pageBytes + 8 * (pageBytes / (8 * MOST_WORDS) + 2);
  }

  /**
   * Writes the difference of two pages of the same length, a multiple of 8.
   *
   * @return where it ends, a multiple of 8 behind {@code at}; {@code at} if the pages are equal
   */
  static int encode(byte[] a, byte[] b, byte[] to, int at) {
    int end = a.length;
    int out = at;
    int from = 0; // first byte that no run has told of
    while (true) {
      int same = Arrays.mismatch(a, from, end, b, from, end);
      if (same < 0) {
        break;
      }
      int word = (from + same) & ~7;
      int skip = (word - from) >> 3;
      for (; skip > MOST_WORDS; skip -= MOST_WORDS) {
        INT.set(to, out, MOST_WORDS << 16);
        out += 4;
      }
      int header = out;
      out += 4;
      int first = word;
      int last = Math.min(end, first + 8 * MOST_WORDS);
      for (; word < last; word += 8) {
        long difference = (long) LONG.get(a, word) ^ (long) LONG.get(b, word);
        if (difference == 0
            && (word + 8 >= last || (long) LONG.get(a, word + 8) == (long) LONG.get(b, word + 8))) {
          break;
        }
        LONG.set(to, out, difference);
        out += 8;
      }
      INT.set(to, header, skip << 16 | (word - first) >> 3);
      from = word;
    }
    if (((out - at) & 7) != 0) {
      INT.set(to, out, 0);
      out += 4;
    }
    return out;
  }

  /** Makes one page of the other. The delta is whole: it was written by {@link #encode}. */
  static void apply(byte[] delta, int at, int end, byte[] page) {
    int word = 0;
    for (int in = at; in < end; ) {
      int header = (int) INT.get(delta, in);
      in += 4;
      word += (header >>> 16) << 3;
      for (int past = word + ((header & MOST_WORDS) << 3); word < past; word += 8, in += 8) {
        LONG.set(page, word, (long) LONG.get(page, word) ^ (long) LONG.get(delta, in));
      }
    }
  }
}
