package dev.smudge.migration;

import dev.smudge.migration.MigrationException.Fault;
import java.io.IOException;

/**
 * Messages between the two embedders, on the first connection of a migration: during the check
 * before the hand-over, and after the hand-over. Their content is the embedders' own. Like all
 * frames, messages have numbers and checksums.
 *
 * <p>Threads: one at a time.
 */
public final class Messages {
  /** One end's part of the conversation. */
  @FunctionalInterface
  public interface Handler {
    /** Sends and receives nothing. */
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
