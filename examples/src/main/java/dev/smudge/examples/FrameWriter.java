package dev.smudge.examples;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.zip.CRC32C;

/** Writes one direction of a migration stream; see {@link StreamLayout}. For one thread. */
final class FrameWriter {
  private static final int BUFFER = 64 << 10;

  /** Content that is zero throughout is not sent; looked at in pieces of this size. */
  private static final int GRAIN = 4096;

  private static final byte[] ZEROES = new byte[GRAIN];

  private final OutputStream out;
  private final StreamDigest digest = new StreamDigest();
  private final CRC32C crc = new CRC32C();
  private final ByteBuffer header = ByteBuffer.allocate(StreamLayout.HEADER_SIZE);
  private final ByteBuffer body = ByteBuffer.allocate(StreamLayout.MAX_BODY);
  private final ByteBuffer tail = ByteBuffer.allocate(StreamLayout.CHECKSUM_SIZE);
  private final byte[] content = new byte[StreamLayout.MAX_CONTENT];
  private long sequence;
  private long bytes;

  /** Writes the preamble. */
  FrameWriter(OutputStream stream) throws IOException {
    this.out = new BufferedOutputStream(stream, BUFFER);
    ByteBuffer preamble = ByteBuffer.allocate(StreamLayout.PREAMBLE_SIZE);
    preamble.putLong(StreamLayout.MAGIC).putInt(StreamLayout.VERSION);
    preamble.putInt(checksum(preamble.array(), StreamLayout.PREAMBLE_CHECKED));
    digest.update(preamble.array(), StreamLayout.PREAMBLE_SIZE);
    write(preamble.array(), StreamLayout.PREAMBLE_SIZE);
  }

  /** Begins a frame: its body is to be put into the result. */
  ByteBuffer begin() {
    return body.clear();
  }

  /** Ends a frame. It may stay in a buffer until {@link #flush}. */
  void end(FrameType type) throws IOException {
    int length = body.position();
    header.clear().putInt(type.code).putInt(length).putLong(sequence);
    header.putInt(checksum(header.array(), StreamLayout.HEADER_CHECKED));
    tail.clear().putInt(checksum(body.array(), length));
    sequence++;
    digest.update(header.array(), StreamLayout.HEADER_SIZE);
    digest.update(tail.array(), StreamLayout.CHECKSUM_SIZE);
    write(header.array(), StreamLayout.HEADER_SIZE);
    write(body.array(), length);
    write(tail.array(), StreamLayout.CHECKSUM_SIZE);
  }

  /** A frame without a body, sent at once. */
  void send(FrameType type) throws IOException {
    begin();
    end(type);
    flush();
  }

  /** A frame whose body is a text, cut if it is too long, sent at once. */
  void send(FrameType type, String text) throws IOException {
    putString(begin(), text.length() > 2000 ? text.substring(0, 2000) + "..." : text);
    end(type);
    flush();
  }

  /**
   * Writes RAM as frames.
   *
   * @param data the type of those with content
   * @param zero the type of those that stand for zeroes
   * @param slotId slot
   * @param byteOffset offset in the slot
   * @param ram the RAM; it is read once, so that its checksum is that of what is sent even if the
   *     guest writes it meanwhile
   */
  void ram(FrameType data, FrameType zero, int slotId, long byteOffset, MemorySegment ram)
      throws IOException {
    long size = ram.byteSize();
    for (long at = 0; at < size; at += content.length) {
      int length = (int) Math.min(content.length, size - at);
      MemorySegment.copy(ram, ValueLayout.JAVA_BYTE, at, content, 0, length);
      for (int from = 0; from < length; ) {
        boolean zeroes = isZero(from, length);
        int to = from;
        while (to < length && isZero(to, length) == zeroes) {
          to = Math.min(to + GRAIN, length);
        }
        begin().putInt(slotId).putLong(byteOffset + at + from);
        if (zeroes) {
          body.putLong(to - from);
        } else {
          body.put(content, from, to - from);
        }
        end(zeroes ? zero : data);
        from = to;
      }
    }
  }

  private boolean isZero(int from, int length) {
    int to = Math.min(from + GRAIN, length);
    return Arrays.equals(content, from, to, ZEROES, 0, to - from);
  }

  void flush() throws IOException {
    out.flush();
  }

  /** {@return the digest of all frames so far} */
  byte[] digest() {
    return digest.value();
  }

  /** {@return bytes written so far} */
  long bytes() {
    return bytes;
  }

  static void putBytes(ByteBuffer body, byte[] value) {
    body.putInt(value.length).put(value);
  }

  static void putString(ByteBuffer body, String value) {
    putBytes(body, value.getBytes(StandardCharsets.UTF_8));
  }

  private void write(byte[] source, int length) throws IOException {
    out.write(source, 0, length);
    bytes += length;
  }

  private int checksum(byte[] source, int length) {
    crc.reset();
    crc.update(source, 0, length);
    return (int) crc.getValue();
  }
}
