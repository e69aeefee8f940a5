package dev.smudge.jcstress;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import org.openjdk.jcstress.infra.results.II_Result;

/** What the models have in common: RAM, one live word, and a few words of a protocol. */
final class ModelGuest {
  static final int LIVE = 16;
  static final int REQUEST = 32;
  static final int ACKNOWLEDGED = 48;
  static final int OFFLINE = 64;
  static final int ONLINE = 80;
  static final int EPOCH = 96;

  private static final VarHandle WORDS = MethodHandles.arrayElementVarHandle(long[].class);
  static final long ALL = (1L << Ram.PAGES) - 1;

  final Ram ram = new Ram();
  private final long[] words = new long[112]; // 128 bytes apart
  private final int[] read = new int[Ram.PAGES];
  private long tlb;
  private long seenEpoch;

  ModelGuest() {
    words[LIVE] = ALL;
  }

  /** The vCPU writes 1 to pages, and marks each that it does not find marked. */
  void write(int from, int to) {
    for (int page = from; page < to; page++) {
      ram.store(page, 1);
      if ((getOpaque(LIVE) & 1L << page) == 0) {
        or(LIVE, 1L << page);
      }
    }
  }

  /** Writes without a mark to pages that are in the write TLB, and puts the others into it. */
  void writeThroughTlb(int value) {
    for (int page = 0; page < Ram.PAGES; page++) {
      ram.store(page, value);
      if ((tlb & 1L << page) == 0) {
        if ((getOpaque(LIVE) & 1L << page) == 0) {
          or(LIVE, 1L << page);
        }
        tlb |= 1L << page;
      }
    }
  }

  void dropTlbIfArmed() {
    long epoch = getVolatile(EPOCH);
    if (epoch != seenEpoch) {
      tlb = 0;
      seenEpoch = epoch;
    }
  }

  void clear() {
    and(LIVE, 0L);
  }

  void read() {
    ram.copyTo(read);
  }

  /** r1: something older than 1 was read; r2: so many pages of that are not dirty again. */
  void judge(II_Result result) {
    judge(read, 1, result);
  }

  void judge(int value, II_Result result) {
    judge(read, value, result);
  }

  void judge(int[] pages, II_Result result) {
    judge(pages, 1, result);
  }

  private void judge(int[] pages, int value, II_Result result) {
    for (int page = 0; page < Ram.PAGES; page++) {
      if (pages[page] != value && ram.load(page) == value) {
        result.r1 = 1;
        result.r2 += (getVolatile(LIVE) & 1L << page) == 0 ? 1 : 0;
      }
    }
  }

  long getOpaque(int word) {
    return (long) WORDS.getOpaque(words, word);
  }

  long getAcquire(int word) {
    return (long) WORDS.getAcquire(words, word);
  }

  long getVolatile(int word) {
    return (long) WORDS.getVolatile(words, word);
  }

  void setRelease(int word, long value) {
    WORDS.setRelease(words, word, value);
  }

  void setVolatile(int word, long value) {
    WORDS.setVolatile(words, word, value);
  }

  void or(int word, long bits) {
    WORDS.getAndBitwiseOr(words, word, bits);
  }

  void and(int word, long bits) {
    WORDS.getAndBitwiseAnd(words, word, bits);
  }
}
