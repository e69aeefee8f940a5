package dev.smudge.migration;

import dev.smudge.sync.internal.stack.StackRoom;
import java.io.BufferedOutputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32C;

/** Writes one direction of a migration stream; see {@link StreamLayout}. For one thread. */
@SuppressWarnings("ByteBufferBackingArray") // all buffers are allocated here
final class FrameWriter {
  private static final int BUFFER = 64 << 10;
  private static final int MAX_REASON = 2000;
  private static final byte[] NOTHING = new byte[0];

  private final OutputStream out;
  private final StreamDigest digest = new StreamDigest();
  private final CRC32C crc = new CRC32C();
  private final ByteBuffer header = ByteBuffer.allocate(StreamLayout.HEADER_SIZE);
  private final ByteBuffer body = ByteBuffer.allocate(StreamLayout.MAX_CONTENT);
  private final ByteBuffer tail = ByteBuffer.allocate(StreamLayout.CHECKSUM_SIZE);
  private long sequence;
  private volatile long bytes;

  /** Writes the preamble. */
  FrameWriter(OutputStream stream) throws IOException {
    this.out = new BufferedOutputStream(roomy(stream), BUFFER);
    ByteBuffer preamble = ByteBuffer.allocate(StreamLayout.PREAMBLE_SIZE);
    preamble.putLong(StreamLayout.MAGIC).putInt(StreamLayout.VERSION);
    crc.update(preamble.array(), 0, StreamLayout.PREAMBLE_CHECKED);
    preamble.putInt((int) crc.getValue());
    digest.update(preamble.array(), StreamLayout.PREAMBLE_SIZE);
    write(preamble.array(), StreamLayout.PREAMBLE_SIZE);
  }

  /** See {@link StackRoom#IO}. */
  private static OutputStream roomy(OutputStream stream) {
    return new FilterOutputStream(stream) {
      @Override
      public void write(byte[] source, int from, int length) throws IOException {
        StackRoom.check(StackRoom.IO);
        out.write(source, from, length);
      }
    };
  }

  /** Begins a frame: its body, or the beginning of its body, is to be put into the result. */
  ByteBuffer begin() {
    return body.clear();
  }

  /** Ends a frame. It may stay in a buffer until {@link #flush}. */
  void end(FrameType type) throws IOException {
    end(type, NOTHING, 0);
  }

  /** Ends a frame whose body goes on with some bytes. */
  void end(FrameType type, byte[] content, int length) throws IOException {
    int before = body.position();
    header.clear().putInt(type.code).putInt(before + length).putLong(sequence);
    crc.reset();
    crc.update(header.array(), 0, StreamLayout.HEADER_CHECKED);
    header.putInt((int) crc.getValue());
    crc.reset();
    crc.update(body.array(), 0, before);
    crc.update(content, 0, length);
    tail.clear().putInt((int) crc.getValue());
    sequence++;
    digest.update(header.array(), StreamLayout.HEADER_SIZE);
    digest.update(tail.array(), StreamLayout.CHECKSUM_SIZE);
    write(header.array(), StreamLayout.HEADER_SIZE);
    write(body.array(), before);
    write(content, length);
    write(tail.array(), StreamLayout.CHECKSUM_SIZE);
  }

  /** A frame with such a body, sent at once. */
  void send(FrameType type, byte[] content) throws IOException {
    begin();
    end(type, content, content.length);
    flush();
  }

  /** A frame whose body is a text, cut if it is too long, sent at once. */
  void send(FrameType type, String text) throws IOException {
    String said = text.length() > MAX_REASON ? text.substring(0, MAX_REASON) + "..." : text;
    send(type, said.getBytes(StandardCharsets.UTF_8));
  }

  void flush() throws IOException {
    out.flush();
  }

  /** {@return the digest of all frames so far} */
  byte[] digest() {
    return digest.value();
  }

  /** {@return bytes written so far; from any thread} */
  long bytes() {
    return bytes;
  }

  @SuppressWarnings("NonAtomicVolatileUpdate") // one thread writes, others read
  private void write(byte[] source, int length) throws IOException {
    out.write(source, 0, length);
    bytes += length;
  }
}
