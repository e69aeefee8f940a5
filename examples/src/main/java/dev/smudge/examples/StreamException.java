package dev.smudge.examples;

import java.io.IOException;

/** A migration stream that cannot be used, or whose other end gave up. */
final class StreamException extends IOException {
  private static final long serialVersionUID = 1L;

  /** What is wrong. */
  enum Fault {
    /** It does not begin as a migration stream does. */
    BAD_MAGIC,
    /** It is of another version. */
    BAD_VERSION,
    /** It ends too early. */
    TRUNCATED,
    /** A checksum is not that of what was read. */
    BAD_CHECKSUM,
    /** A frame is longer than any may be. */
    BAD_LENGTH,
    /** A frame is missing, or there twice. */
    BAD_SEQUENCE,
    /** A frame of no known type, or out of place. */
    BAD_FRAME,
    /** The body of a frame makes no sense here. */
    BAD_CONTENT,
    /** The stream is not the one that was sent. */
    BAD_DIGEST,
    /** The other end says that it has given up. */
    PEER_GAVE_UP
  }

  private final Fault fault;

  StreamException(Fault fault, String message) {
    super(message);
    this.fault = fault;
  }

  /** {@return what is wrong} */
  Fault fault() {
    return fault;
  }
}
