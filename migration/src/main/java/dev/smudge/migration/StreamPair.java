package dev.smudge.migration;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;

/** A connection over two streams. */
record StreamPair(InputStream input, OutputStream output) implements Connection {
  @Override
  public void close() throws IOException {
    try {
      output.close();
    } finally {
      input.close();
    }
  }
}
