package dev.smudge.examples;

import java.io.ByteArrayOutputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;

/** A connection that is cut after so many bytes, or frames, that were sent through it. */
final class CuttingConnection implements Connection {
  private final Connection connection;
  private final long maxBytes;
  private final long maxFrames;
  private final Runnable atCut;
  private final ByteArrayOutputStream recorded = new ByteArrayOutputStream();
  private boolean cut;

  private CuttingConnection(Connection connection, long maxBytes, long maxFrames, Runnable atCut) {
    this.connection = connection;
    this.maxBytes = maxBytes;
    this.maxFrames = maxFrames;
    this.atCut = atCut;
  }

  static CuttingConnection recording(Connection connection) {
    return new CuttingConnection(connection, Long.MAX_VALUE, Long.MAX_VALUE, () -> {});
  }

  static CuttingConnection afterBytes(Connection connection, long bytes, Runnable atCut) {
    return new CuttingConnection(connection, bytes, Long.MAX_VALUE, atCut);
  }

  /** Frames besides the preamble. */
  static CuttingConnection afterFrames(Connection connection, long frames, Runnable atCut) {
    return new CuttingConnection(connection, Long.MAX_VALUE, frames, atCut);
  }

  /** {@return whether it came to the cut} */
  boolean wasCut() {
    return cut;
  }

  /** {@return all that was sent} */
  byte[] recorded() {
    return recorded.toByteArray();
  }

  @Override
  public InputStream input() {
    return connection.input();
  }

  @Override
  public OutputStream output() {
    return new CuttingOutput(connection.output());
  }

  @Override
  public void close() throws IOException {
    connection.close();
  }

  private final class CuttingOutput extends FilterOutputStream {
    private final ByteArrayOutputStream header = new ByteArrayOutputStream();
    private long left = StreamLayout.PREAMBLE_SIZE; // of the preamble, or a frame past its header
    private long frames;
    private long bytes;

    CuttingOutput(OutputStream out) {
      super(out);
    }

    @Override
    public void write(byte[] source, int from, int length) throws IOException {
      int allowed = (int) Math.min(length, maxBytes - bytes);
      allowed = Math.min(allowed, allowedByFrames(source, from, length));
      out.write(source, from, allowed);
      recorded.write(source, from, allowed);
      bytes += allowed;
      if (allowed < length) {
        out.flush();
        cut = true;
        atCut.run();
        connection.close();
        throw new IOException("cut after " + bytes + " bytes");
      }
    }

    private int allowedByFrames(byte[] source, int from, int length) {
      for (int i = 0; i < length; i++) {
        if (left == 0 && frames == maxFrames) {
          return i;
        }
        if (left > 0) {
          left--;
          continue;
        }
        header.write(source[from + i]);
        if (header.size() == StreamLayout.HEADER_SIZE) {
          left =
              ByteBuffer.wrap(header.toByteArray()).getInt(4) + (long) StreamLayout.CHECKSUM_SIZE;
          header.reset();
          frames++;
        }
      }
      return length;
    }
  }
}
