package dev.smudge.sync.internal.vcpu;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * The words that a vCPU writes and collectors read: the newest request that it has acknowledged,
 * and whether it is online. They stand alone, away from what collectors write.
 */
final class VcpuWords {
  private static final VarHandle WORDS = MethodHandles.arrayElementVarHandle(long[].class);
  private static final int ACKNOWLEDGED = 16;
  private static final int STATE = 17;
  private static final int LENGTH = 34;
  private static final long ONLINE = 1;
  private static final long OFFLINE = 0;

  private final long[] words = new long[LENGTH];

  VcpuWords() {}

  // By the vCPU's thread.

  void acknowledge(long request) {
    // ORDER S2 release: every store and mark of this vCPU comes before the acknowledgement. Pairs
    // with the acquire in hasAcknowledged. If weaker: the collector reads RAM before the last
    // store.
    WORDS.setRelease(words, ACKNOWLEDGED, request);
  }

  void setOnline(boolean online) {
    // ORDER S4 release (offline): every store and mark of this vCPU comes before. Pairs with the
    // load in isOffline. If weaker: the collector does not wait, and misses the last stores.
    WORDS.setRelease(words, STATE, online ? ONLINE : OFFLINE);
  }

  // By any thread.

  boolean hasAcknowledged(long request) {
    // S2 acquire: see acknowledge.
    return (long) WORDS.getAcquire(words, ACKNOWLEDGED) >= request;
  }

  boolean isOffline() {
    // S4, S5 volatile: see setOnline and VcpuState.becomeOnline.
    return (long) WORDS.getVolatile(words, STATE) == OFFLINE;
  }
}
