package dev.smudge.examples;

import dev.smudge.migration.Messages;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/**
 * What was found out about a guest's output.
 *
 * <p>As a message from the destination to the source: a byte that is 1 if it is verified and 0 if
 * it is not, and the text. While the guest runs: a byte 2, and u64 lines that it has printed.
 *
 * @param verified whether it is that of an uninterrupted run
 * @param text what was compared, or what differs
 */
record Verdict(boolean verified, String text) {
  private static final byte NOT_YET = 2;
  private static final int MAX_TEXT = 10_000;

  byte[] toBytes() {
    byte[] utf8 =
        text.substring(0, Math.min(MAX_TEXT, text.length())).getBytes(StandardCharsets.UTF_8);
    return ByteBuffer.allocate(1 + utf8.length).put((byte) (verified ? 1 : 0)).put(utf8).array();
  }

  /** {@return the message while there is no verdict} */
  static byte[] notYet(long lines) {
    return ByteBuffer.allocate(1 + Long.BYTES).put(NOT_YET).putLong(lines).array();
  }

  /** Waits until the guest has ended at the destination, which says what it found out. */
  static Verdict await(Messages destination, Progress progress) throws IOException {
    for (; ; ) {
      ByteBuffer said = ByteBuffer.wrap(destination.receive());
      byte what = said.get();
      if (what != NOT_YET) {
        return new Verdict(what == 1, StandardCharsets.UTF_8.decode(said).toString());
      }
      progress.destinationRuns(said.getLong());
    }
  }
}
