package dev.smudge.migration;

import java.io.FilterInputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;

/**
 * A connection over TCP that does not hang: a read that waits too long fails, and so does a write
 * whose bytes the other end does not take. A socket has no time-out for writes, so a thread watches
 * them and closes the socket.
 */
final class SocketConnection implements Connection {
  private static final int PIECE = 64 << 10;

  private final Socket socket;
  private final Duration timeout;
  private final InputStream input;
  private final OutputStream output;
  private volatile long writeBegan; // System.nanoTime, odd; 0: no write is under way
  private volatile boolean writeTimedOut;

  SocketConnection(Socket socket, Duration timeout) throws IOException {
    this.socket = socket;
    this.timeout = timeout;
    socket.setSoTimeout(Math.toIntExact(timeout.toMillis()));
    socket.setTcpNoDelay(true);
    this.input = new TimedInput(socket.getInputStream());
    this.output = new TimedOutput(socket.getOutputStream());
    Thread watcher = new Thread(this::watchWrites, "write-timeout");
    watcher.setDaemon(true);
    watcher.start();
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
    socket.close();
  }

  @Override
  public String toString() {
    return String.valueOf(socket.getRemoteSocketAddress());
  }

  private void watchWrites() {
    long limit = timeout.toNanos();
    while (!socket.isClosed()) {
      LockSupport.parkNanos(Math.max(1_000_000, limit / 10));
      long began = writeBegan;
      if (began != 0 && System.nanoTime() - began > limit) {
        writeTimedOut = true;
        try {
          socket.close();
        } catch (IOException e) {
          return; // it is closed as far as it can be
        }
      }
    }
  }

  /** Says who was silent. */
  private final class TimedInput extends FilterInputStream {
    TimedInput(InputStream in) {
      super(in);
    }

    @Override
    public int read(byte[] target, int from, int length) throws IOException {
      try {
        return super.read(target, from, length);
      } catch (SocketTimeoutException e) {
        SocketTimeoutException better =
            new SocketTimeoutException(
                "nothing came from the other end for " + timeout.toMillis() + " ms");
        better.initCause(e);
        throw better;
      }
    }
  }

  /** Writes in pieces, each with its own time. */
  private final class TimedOutput extends FilterOutputStream {
    TimedOutput(OutputStream out) {
      super(out);
    }

    @Override
    public void write(byte[] source, int from, int length) throws IOException {
      int end = from + length;
      for (int at = from; at < end; at += PIECE) {
        writePiece(source, at, Math.min(PIECE, end - at));
      }
    }

    private void writePiece(byte[] source, int from, int length) throws IOException {
      writeBegan = System.nanoTime() | 1;
      try {
        out.write(source, from, length);
      } catch (IOException e) {
        if (!writeTimedOut) {
          throw e;
        }
        SocketTimeoutException better =
            new SocketTimeoutException(
                "the other end took no data for " + timeout.toMillis() + " ms");
        better.initCause(e);
        throw better;
      } finally {
        writeBegan = 0;
      }
    }
  }
}
