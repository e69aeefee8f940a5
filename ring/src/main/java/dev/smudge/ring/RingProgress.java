package dev.smudge.ring;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * How far the harvester and the resetter have come, in entries since the ring was made. Each word
 * has one writer, and stands 128 bytes away from everything else.
 */
final class RingProgress {
  private static final VarHandle WORDS = MethodHandles.arrayElementVarHandle(long[].class);
  private static final int HARVESTED = 16;
  private static final int RESET = 32;

  private final long[] words = new long[48];

  long resetAcquire() {
    // R4 acquire.
    return (long) WORDS.getAcquire(words, RESET);
  }

  void resetRelease(long count) {
    // ORDER R4 release: the resetter's loads of an entry, its free flags, and the re-arming of its
    // page come before the entry is the producer's again. Pairs with the acquires in
    // RingProducer.push, by which the producer writes no entry that is in use, and in
    // HarvestedPages.forEachPage. If weaker: the resetter reads the next round's page, or wipes its
    // DIRTY: lost.
    WORDS.setRelease(words, RESET, count);
  }

  long harvestedAcquire() {
    // R5 acquire.
    return (long) WORDS.getAcquire(words, HARVESTED);
  }

  void harvestedRelease(long count) {
    // ORDER R5 release: flags=RESET of the entries come before the count. Pairs with the acquire in
    // RingResetter.noteResets. If weaker: it sees the flags from before the harvest, not RESET, and
    // takes the entries for given back.
    WORDS.setRelease(words, HARVESTED, count);
  }
}
