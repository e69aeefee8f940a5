package dev.smudge.migration;

import java.io.IOException;

/** A migration failed for a reason other than a broken connection. */
public final class MigrationException extends IOException {
  private static final long serialVersionUID = 1L;

  /** What is wrong. */
  public enum Fault {
    /** The stream does not begin like a migration stream. */
    BAD_MAGIC,
    /** It is of another version. */
    BAD_VERSION,
    /** It ends too early. */
    TRUNCATED,
    /** A checksum does not match the bytes that were read. */
    BAD_CHECKSUM,
    /** A frame is longer than a frame may be. */
    BAD_LENGTH,
    /** A frame is missing, or there twice. */
    BAD_SEQUENCE,
    /** A frame has an unknown type, or is out of place. */
    BAD_FRAME,
    /** The body of a frame makes no sense here. */
    BAD_CONTENT,
    /** The digest of the stream does not match: other bytes were sent. */
    BAD_DIGEST,
    /** The other end says that it has given up. */
    PEER_GAVE_UP,
    /** The migration was cancelled. */
    CANCELLED,
    /** The guest writes faster than it can be sent, and the time or the rounds are used up. */
    NOT_CONVERGED
  }

  /** What is wrong. */
  private final Fault fault;

  MigrationException(Fault fault, String message) {
    super(message);
    this.fault = fault;
  }

  /** {@return what is wrong} */
  public Fault fault() {
    return fault;
  }
}
