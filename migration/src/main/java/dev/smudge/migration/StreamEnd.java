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

  /** {@return what a callback threw, as one of the two kinds that are thrown on} */
  static Exception asKnown(Throwable thrown) {
    return thrown instanceof IOException || thrown instanceof RuntimeException
        ? (Exception) thrown
        : new IllegalStateException(thrown);
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
