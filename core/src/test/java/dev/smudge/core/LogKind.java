package dev.smudge.core;

import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.DirtyLogBuilder;
import dev.smudge.sync.RingFullPolicy;

/** How the vCPUs of a memory report. */
enum LogKind {
  BITMAP,
  RING,
  RING_THAT_OVERFLOWS;

  DirtyLogBuilder builder() {
    return switch (this) {
      case BITMAP -> DirtyLog.builder();
      case RING -> DirtyLog.builder().ring(256, 64, RingFullPolicy.SPILL);
      case RING_THAT_OVERFLOWS -> DirtyLog.builder().ring(4, 1, RingFullPolicy.SPILL);
    };
  }

  GuestMemory memory() {
    return GuestMemory.over(builder().build());
  }
}
