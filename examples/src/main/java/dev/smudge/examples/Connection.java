package dev.smudge.examples;

import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.Pipe;

/** What a migration goes through: bytes in both directions. Closing it ends both, at both ends. */
interface Connection extends Closeable {
  /** {@return what the other end sends} */
  InputStream input();

  /** {@return to the other end} */
  OutputStream output();

  /**
   * Makes the two ends of a connection within this JVM.
   *
   * @return two connections; what one sends the other gets
   */
  static Connection[] pair() throws IOException {
    Pipe there = Pipe.open();
    Pipe back = Pipe.open();
    return new Connection[] {
      new PipeConnection(back.source(), there.sink()),
      new PipeConnection(there.source(), back.sink())
    };
  }

  /** One end of a pair of pipes. */
  final class PipeConnection implements Connection {
    private final Pipe.SourceChannel source;
    private final Pipe.SinkChannel sink;
    private final InputStream input;
    private final OutputStream output;

    private PipeConnection(Pipe.SourceChannel source, Pipe.SinkChannel sink) {
      this.source = source;
      this.sink = sink;
      this.input = Channels.newInputStream(source);
      this.output = Channels.newOutputStream(sink);
    }

    @Override
    public InputStream input() {
      return input;
    }

    @Override
    public OutputStream output() {
      return output;
    }

    @Override
    public void close() throws IOException {
      try (source) {
        sink.close();
      }
    }
  }
}
