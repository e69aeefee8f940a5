package dev.smudge.jcstress;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/** What the RCU tests have in common: a link to one of two elements, and a few words. */
final class ModelRcu {
  static final int WORD = 16;
  static final int REQUEST = 32;
  static final int ACKNOWLEDGED = 48;
  static final int LINK = 64;
  static final int OLD = 80; // elements
  static final int NEW = 96;

  static final int RECLAIMED = 1;

  private static final VarHandle WORDS = MethodHandles.arrayElementVarHandle(long[].class);

  private final long[] words = new long[112]; // 128 bytes apart

  ModelRcu() {
    words[LINK] = OLD;
  }

  /** Finds an element. */
  int find() {
    return (int) (long) WORDS.getOpaque(words, LINK);
  }

  /** Reads what was found: 0, or {@link #RECLAIMED}. */
  int read(int element) {
    return (int) (long) WORDS.getOpaque(words, element);
  }

  void unlink() {
    WORDS.setRelease(words, LINK, (long) NEW);
  }

  void reclaim() {
    WORDS.setOpaque(words, OLD, (long) RECLAIMED);
  }

  long getAcquire(int word) {
    return (long) WORDS.getAcquire(words, word);
  }

  void setRelease(int word, long value) {
    WORDS.setRelease(words, word, value);
  }

  void setVolatile(int word, long value) {
    WORDS.setVolatile(words, word, value);
  }

  /** Waits until a word is (or is not) 0. */
  void await(int word, boolean zero) {
    while ((getAcquire(word) == 0) != zero) {
      Thread.onSpinWait();
    }
  }
}
