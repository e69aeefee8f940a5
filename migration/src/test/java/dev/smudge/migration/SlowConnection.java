package dev.smudge.migration;

import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.concurrent.locks.LockSupport;

/** A connection that takes so many bytes per second, as a network does. */
record SlowConnection(Connection connection, long bytesPerSecond) implements Connection {
  @Override
  public InputStream input() {
    return connection.input();
  }

  @Override
  public OutputStream output() {
    return new FilterOutputStream(connection.output()) {
      private long free = System.nanoTime();

      @Override
      public void write(byte[] source, int from, int length) throws IOException {
        free = Math.max(free, System.nanoTime()) + length * 1_000_000_000L / bytesPerSecond;
        for (long left = free - System.nanoTime(); left > 0; left = free - System.nanoTime()) {
          LockSupport.parkNanos(left);
        }
        out.write(source, from, length);
      }
    };
  }

  @Override
  public void close() throws IOException {
    connection.close();
  }
}
