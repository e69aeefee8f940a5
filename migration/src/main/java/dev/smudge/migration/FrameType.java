package dev.smudge.migration;

import org.jspecify.annotations.Nullable;

/** What a frame of the migration stream says. Layouts of the bodies: {@link StreamLayout}. */
enum FrameType {
  // From the source.
  HELLO(1),
  ROUND(2),
  PAGES(3),
  ZERO(4),
  STATE(5),
  END(6),
  COMMIT(10),
  ABORT(11),
  // From the destination.
  ACCEPTED(32),
  READY(33),
  RUNNING(35),
  REFUSED(38),
  // From either.
  MESSAGE(64);

  final int code;

  FrameType(int code) {
    this.code = code;
  }

  static @Nullable FrameType of(int code) {
    for (FrameType type : values()) {
      if (type.code == code) {
        return type;
      }
    }
    return null;
  }
}
