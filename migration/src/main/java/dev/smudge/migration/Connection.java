package dev.smudge.migration;

import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.Socket;
import java.nio.channels.Channels;
import java.nio.channels.Pipe;
import java.nio.channels.ReadableByteChannel;
import java.nio.channels.WritableByteChannel;
import java.time.Duration;

/**
 * A connection between the two ends of a migration: bytes in both directions. Closing it ends both
 * directions, at both ends.
 *
 * <p>Threads: at a time one thread reads and one writes. Any thread may close it, which has to end
 * a read or a write by another thread.
 */
public interface Connection extends Closeable {
  /** {@return what the other end sends} */
  InputStream input();

  /** {@return to the other end} */
  OutputStream output();

  /**
   * Returns a connection over TCP that does not hang: a read that waits longer than the time limit
   * fails, and so does a write whose bytes the other end does not take. A socket has no time limit
   * for writes, so a daemon thread watches them until the socket is closed.
   *
   * @param socket a connected socket, which is closed with the connection
   * @param timeout how long the other end may be silent, from 1 ms to {@code Integer.MAX_VALUE} ms
   * @return the connection
   * @throws IOException if the socket is closed or refuses its options
   * @throws IllegalArgumentException if the time limit is out of its range
   */
  static Connection of(Socket socket, Duration timeout) throws IOException {
    if (timeout.compareTo(Duration.ofMillis(1)) < 0
        || timeout.compareTo(Duration.ofMillis(Integer.MAX_VALUE)) > 0) {
      throw new IllegalArgumentException(
          "a timeout of " + timeout + "; allowed are 1 to " + Integer.MAX_VALUE + " ms");
    }
    return new SocketConnection(socket, timeout);
  }

  /**
   * Returns a connection over two channels, or over one channel that both reads and writes. It has
   * no time limits.
   *
   * @param from what the other end sends, in blocking mode; closed with the connection
   * @param to to the other end, in blocking mode; closed with the connection
   * @return the connection
   */
  static Connection of(ReadableByteChannel from, WritableByteChannel to) {
    return new StreamPair(Channels.newInputStream(from), Channels.newOutputStream(to));
  }

  /**
   * Returns a connection over two streams.
   *
   * @param from what the other end sends; closed with the connection
   * @param to to the other end; closed with the connection
   * @return the connection
   */
  static Connection of(InputStream from, OutputStream to) {
    return new StreamPair(from, to);
  }

  /**
   * Makes the two ends of a connection within this JVM.
   *
   * @return two connections; what one sends the other gets
   * @throws IOException if there are no pipes to be had
   */
  static Connection[] pair() throws IOException {
    Pipe there = Pipe.open();
    Pipe back = Pipe.open();
    return new Connection[] {of(back.source(), there.sink()), of(there.source(), back.sink())};
  }
}
