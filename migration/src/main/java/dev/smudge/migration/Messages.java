package dev.smudge.migration;

import dev.smudge.migration.MigrationException.Fault;
import java.io.IOException;

/**
 * A conversation of the two embedders, on the first connection of a migration: inside the check
 * before the hand-over, and after it. What is said is theirs; it is numbered and has checksums as
 * all else has.
 *
 * <p>Threads: one at a time.
 */
public final class Messages {
  /** A part of the conversation. */
  @FunctionalInterface
  public interface Handler {
    /** Says nothing. */
    Handler NONE = messages -> {};

    /**
     * Talks with the other end.
     *
     * @param messages to it and from it
     * @throws IOException if the migration is to fail, with this as its reason
     */
    void talk(Messages messages) throws IOException;
  }

  private final FrameReader in;
  private final FrameWriter out;

  Messages(FrameReader in, FrameWriter out) {
    this.in = in;
    this.out = out;
  }

  /**
   * Sends a message.
   *
   * @param content at most 256 KiB
   * @throws IOException if the connection is broken
   * @throws IllegalArgumentException if it is longer; nothing is sent
   */
  public void send(byte[] content) throws IOException {
    if (content.length > StreamLayout.MAX_CONTENT) {
      throw new IllegalArgumentException(
          "a message of " + content.length + " bytes; at most " + StreamLayout.MAX_CONTENT);
    }
    out.send(FrameType.MESSAGE, content);
  }

  /**
   * Waits for a message.
   *
   * @return its content
   * @throws MigrationException if the other end gave up or sent something else
   * @throws IOException if the connection is broken
   */
  public byte[] receive() throws IOException {
    FrameType type = in.next();
    if (type == FrameType.MESSAGE) {
      return FrameReader.rest(in.body());
    }
    if (type == FrameType.COMMIT || type == FrameType.RUNNING) {
      throw new MigrationException(
          Fault.BAD_FRAME, type + " came where a message was due: do both ends have a check?");
    }
    throw in.unexpected(type, "a message");
  }
}
