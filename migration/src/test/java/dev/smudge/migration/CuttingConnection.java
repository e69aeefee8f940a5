package dev.smudge.migration;

import java.io.ByteArrayOutputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;

/** A connection that is cut after so many bytes that were sent through it, and records them. */
final class CuttingConnection implements Connection {
  private final Connection connection;
  private final long maxBytes;
  private final ByteArrayOutputStream recorded = new ByteArrayOutputStream();
  private final OutputStream output;
  private boolean cut;

  CuttingConnection(Connection connection, long maxBytes) {
    this.connection = connection;
    this.maxBytes = maxBytes;
    this.output = new CuttingOutput(connection.output());
  }

  /** {@return whether it came to the cut} */
  synchronized boolean wasCut() {
    return cut;
  }

  /** {@return all that was sent} */
  synchronized byte[] recorded() {
    return recorded.toByteArray();
  }

  @Override
  public InputStream input() {
    return connection.input();
  }

  @Override
  public OutputStream output() {
    return output;
  }

  @Override
  public void close() throws IOException {
    connection.close();
  }

  private final class CuttingOutput extends FilterOutputStream {
    CuttingOutput(OutputStream out) {
      super(out);
    }

    @Override
    public void write(byte[] source, int from, int length) throws IOException {
      int allowed;
      synchronized (CuttingConnection.this) {
        allowed = (int) Math.min(length, maxBytes - recorded.size());
        recorded.write(source, from, allowed);
        cut |= allowed < length;
      }
      out.write(source, from, allowed);
      if (allowed < length) {
        out.flush();
        connection.close();
        throw new IOException("cut after " + maxBytes + " bytes");
      }
    }
  }
}
