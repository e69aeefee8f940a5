package dev.smudge.migration;

import java.io.IOException;

/** One end of a stream, with what both ends have: frames in both directions over a connection. */
abstract class StreamEnd implements AutoCloseable {
  final FrameReader in;
  final FrameWriter out;
  final PageFrames frames = new PageFrames();
  private final Connection connection;

  StreamEnd(Connection connection) throws IOException {
    this.connection = connection;
    this.in = new FrameReader(connection.input());
    this.out = new FrameWriter(connection.output());
  }

  /** For a failure that must be known, also where there is no memory to say more of it. */
  private static final class Unsaid extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Unsaid() {
      super("it failed, and so did what was to say why; is the heap full?", null, false, false);
    }
  }

  @SuppressWarnings("StaticAssignmentOfThrowable") // where it is needed there is no memory for one
  private static final Unsaid UNSAID = new Unsaid();

  /**
   * {@return what a callback threw, as one of the two kinds that are thrown on} Throws nothing: a
   * failure that is not noted would count as none.
   */
  static Exception asKnown(Throwable thrown) {
    if (thrown instanceof IOException || thrown instanceof RuntimeException) {
      return (Exception) thrown;
    }
    try {
      return new IllegalStateException(thrown);
    } catch (Throwable e) { // no memory, or the text of what was thrown throws
      return UNSAID;
    }
  }

  /** Adds to a failure what came of it, if it can be added, and throws nothing. */
  static void addTo(Exception failure, Throwable later) {
    if (failure.equals(later)) {
      return; // a connection may throw the same object each time
    }
    try {
      failure.addSuppressed(later);
    } catch (Throwable e) { // no memory
      return; // the first is what counts
    }
  }

  /** Closes the connection. */
  final void cut() {
    cut(connection);
  }

  /** Closes a connection, and throws nothing: there are others to be closed. */
  static void cut(Connection connection) {
    try {
      connection.close();
    } catch (Throwable e) { // of an embedder's connection, any
      return; // it is closed as far as it can be
    }
  }

  @Override
  public final void close() {
    frames.close();
  }
}
