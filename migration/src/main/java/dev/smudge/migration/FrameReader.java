package dev.smudge.migration;

import dev.smudge.migration.MigrationException.Fault;
import dev.smudge.sync.internal.stack.StackRoom;
import java.io.BufferedInputStream;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.zip.CRC32C;

/**
 * Reads one direction of a migration stream and checks it; see {@link StreamLayout}. Nothing of a
 * frame is handed out before its checksum was found right. For one thread.
 */
@SuppressWarnings("ByteBufferBackingArray") // all buffers are allocated here
final class FrameReader {
  private final InputStream in;
  private final StreamDigest digest = new StreamDigest();
  private byte[] digestBefore = new byte[0];
  private final CRC32C crc = new CRC32C();
  private final ByteBuffer header = ByteBuffer.allocate(StreamLayout.HEADER_SIZE);
  private ByteBuffer body = ByteBuffer.allocate(StreamLayout.MAX_CONTENT + 64);
  private final ByteBuffer tail = ByteBuffer.allocate(StreamLayout.CHECKSUM_SIZE);
  private long sequence;
  private boolean begun;

  FrameReader(InputStream stream) {
    this.in = new BufferedInputStream(roomy(stream), 64 << 10);
  }

  /** See {@link StackRoom#IO}. */
  private static InputStream roomy(InputStream stream) {
    return new FilterInputStream(stream) {
      @Override
      public int read(byte[] target, int from, int length) throws IOException {
        StackRoom.check(StackRoom.IO);
        return in.read(target, from, length);
      }
    };
  }

  /**
   * Reads the next frame; {@link #body} has its body then.
   *
   * @return its type
   * @throws MigrationException if the stream is damaged or ends
   */
  FrameType next() throws IOException {
    if (!begun) {
      readPreamble();
      begun = true;
    }
    fill(header, StreamLayout.HEADER_SIZE, "in the header of frame " + sequence);
    int code = header.getInt();
    int length = header.getInt();
    long number = header.getLong();
    check(header, StreamLayout.HEADER_CHECKED, header.getInt(), "the header of frame " + sequence);
    FrameType type = FrameType.of(code);
    if (number != sequence) {
      throw new MigrationException(
          Fault.BAD_SEQUENCE, "frame " + number + " came where frame " + sequence + " was due");
    }
    if (type == null) {
      throw new MigrationException(
          Fault.BAD_FRAME, "frame " + sequence + " has unknown type " + code);
    }
    if (length < 0 || length > StreamLayout.MAX_BODY) {
      throw new MigrationException(
          Fault.BAD_LENGTH,
          "frame " + sequence + " of " + length + " bytes; at most " + StreamLayout.MAX_BODY);
    }
    if (length > body.capacity()) {
      body = ByteBuffer.allocate(length);
    }
    fill(body, length, "in frame " + sequence + ", " + type);
    fill(tail, StreamLayout.CHECKSUM_SIZE, "in frame " + sequence + ", " + type);
    check(body, length, tail.getInt(), "frame " + sequence + ", " + type);
    if (type == FrameType.END) {
      digestBefore = digest.value();
    }
    digest.update(header.array(), StreamLayout.HEADER_SIZE);
    digest.update(tail.array(), StreamLayout.CHECKSUM_SIZE);
    sequence++;
    return type;
  }

  /**
   * Reads a frame that has to be of a type.
   *
   * @throws MigrationException if it is of another; {@code PEER_GAVE_UP} if it says so
   */
  ByteBuffer expect(FrameType expected) throws IOException {
    FrameType type = next();
    if (type != expected) {
      throw unexpected(type, expected.toString());
    }
    return body;
  }

  /** What to say of the frame just read, if it is none of those that may stand there. */
  MigrationException unexpected(FrameType type, String expected) {
    if (type == FrameType.REFUSED || type == FrameType.ABORT) {
      return new MigrationException(Fault.PEER_GAVE_UP, "the other end gave up: " + text());
    }
    return new MigrationException(Fault.BAD_FRAME, type + " came where " + expected + " was due");
  }

  /** {@return the body of the frame just read; valid until the next} */
  ByteBuffer body() {
    return body;
  }

  /** {@return the digest of all frames before the END that was just read} */
  byte[] digestBeforeEnd() {
    return digestBefore;
  }

  /** {@return whether something can be read without waiting} */
  boolean hasInput() throws IOException {
    return in.available() > 0;
  }

  /** {@return what is left of the body, as a text} */
  String text() {
    return new String(rest(body), StandardCharsets.UTF_8);
  }

  /** {@return what is left of a body} */
  static byte[] rest(ByteBuffer body) {
    byte[] value = new byte[body.remaining()];
    body.get(value);
    return value;
  }

  private void readPreamble() throws IOException {
    ByteBuffer preamble = ByteBuffer.allocate(StreamLayout.PREAMBLE_SIZE);
    fill(preamble, StreamLayout.PREAMBLE_SIZE, "before the first frame");
    if (preamble.getLong() != StreamLayout.MAGIC) {
      throw new MigrationException(
          Fault.BAD_MAGIC,
          String.format(
              Locale.ROOT,
              "this is no migration stream: it begins with 0x%016x, and not with 0x%016x",
              preamble.getLong(0),
              StreamLayout.MAGIC));
    }
    int version = preamble.getInt();
    check(preamble, StreamLayout.PREAMBLE_CHECKED, preamble.getInt(), "the preamble");
    if (version != StreamLayout.VERSION) {
      throw new MigrationException(
          Fault.BAD_VERSION,
          "a stream of version " + version + "; only " + StreamLayout.VERSION + " is understood");
    }
    digest.update(preamble.array(), StreamLayout.PREAMBLE_SIZE);
  }

  private void fill(ByteBuffer buffer, int length, String where) throws IOException {
    int count = in.readNBytes(buffer.array(), 0, length);
    if (count < length) {
      throw new MigrationException(Fault.TRUNCATED, "the stream ends " + where);
    }
    buffer.clear().limit(length);
  }

  private void check(ByteBuffer buffer, int length, int expected, String what)
      throws MigrationException {
    crc.reset();
    crc.update(buffer.array(), 0, length);
    if ((int) crc.getValue() != expected) {
      throw new MigrationException(
          Fault.BAD_CHECKSUM,
          String.format(
              Locale.ROOT,
              "%s is damaged: checksum %08x, and %08x was sent",
              what,
              (int) crc.getValue(),
              expected));
    }
  }
}
