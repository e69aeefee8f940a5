package dev.smudge.sync;

/** How the vCPUs of a log report. The suites of behaviour run in each. */
enum Mode {
  BITMAP,

  /** A vCPU waits when 192 entries are used. */
  RING_256,

  /** Pages go to the bitmap most of the time. */
  RING_4_SPILLS;

  DirtyLogBuilder builder() {
    DirtyLogBuilder builder = DirtyLog.builder();
    return switch (this) {
      case BITMAP -> builder;
      case RING_256 -> builder.ring(256);
      case RING_4_SPILLS -> builder.ring(4, 1, RingFullPolicy.SPILL);
    };
  }

  DirtyLog log() {
    return builder().build();
  }

  boolean hasRings() {
    return this != BITMAP;
  }
}
