package dev.smudge.examples;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.examples.StreamException.Fault;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The stream: what is written is read again, and nothing else is ever taken for it. */
@Timeout(60)
class MigrationStreamTest {
  private static byte[] migration = new byte[0]; // all that a source sent, COMMIT last

  @BeforeAll
  static void record() throws Exception {
    NativeProgram program =
        new NativeProgram(1, 8 * 4096, 4096, Pattern.RANDOM, 5, 10, 5, 0, false, 4, 7);
    CuttingConnection[] recording = new CuttingConnection[1];
    UnaryOperator<Connection> wrap =
        connection -> recording[0] = CuttingConnection.recording(connection);
    try (Bench bench = new Bench(program, wrap, UnaryOperator.identity())) {
      bench.assertOneGuest(bench.migrate(Duration.ofSeconds(5)));
    } catch (AssertionError e) {
      // The guest has ended, which assertOneGuest takes for going on.
      assertTrue(String.valueOf(e.getMessage()).contains("went on"));
    }
    migration = recording[0].recorded();
  }

  /** A destination that reads what was recorded, and whose answers are not heard. */
  private static final class Replay implements Connection {
    private final InputStream input;

    Replay(byte[] stream) {
      this.input = new ByteArrayInputStream(stream);
    }

    @Override
    public InputStream input() {
      return input;
    }

    @Override
    public OutputStream output() {
      return OutputStream.nullOutputStream();
    }

    @Override
    public void close() {}
  }

  /** Null if the guest was run. */
  private static StreamException replay(byte[] stream) throws IOException {
    try (MigrationTarget target =
        new MigrationTarget(
            new Replay(stream),
            new UninterruptedRun(),
            (channel, text) -> {},
            MigrationListener.NONE)) {
      StreamException thrown = assertThrows(StreamException.class, target::run);
      assertFalse(target.isRunning());
      assertEquals(0, target.transcript().size());
      return thrown;
    }
  }

  @Test
  void replay_wholeStream_guestRuns() throws IOException {
    try (MigrationTarget target =
        new MigrationTarget(
            new Replay(migration),
            new UninterruptedRun(),
            (channel, text) -> {},
            MigrationListener.NONE)) {
      Bench.assertVerified(target.run());
      assertTrue(target.isRunning());
    }
  }

  @Test
  void replay_anyPrefix_truncatedAndGuestNotRun() throws IOException {
    for (int length = 0; length < migration.length; length += step(length)) {
      StreamException thrown = replay(Arrays.copyOf(migration, length));
      assertEquals(Fault.TRUNCATED, thrown.fault(), "prefix of " + length);
    }
  }

  @Test
  void replay_anyByteFlipped_specificFaultAndGuestNotRun() throws IOException {
    for (int at = 0; at < migration.length; at += step(at)) {
      byte[] damaged = migration.clone();
      damaged[at] ^= (byte) (1 << at % 8);
      Fault fault = replay(damaged).fault();
      Fault expected = at < 8 ? Fault.BAD_MAGIC : Fault.BAD_CHECKSUM;
      assertEquals(expected, fault, "byte " + at);
    }
  }

  /** All of the stream but the middle of long contents. */
  private static int step(int at) {
    return at < 600 || at > migration.length - 600 ? 1 : 7;
  }

  /** The frames of the recorded stream, without the preamble. */
  private static List<byte[]> frames() {
    List<byte[]> frames = new ArrayList<>();
    for (int at = StreamLayout.PREAMBLE_SIZE; at < migration.length; ) {
      int size =
          StreamLayout.HEADER_SIZE
              + java.nio.ByteBuffer.wrap(migration).getInt(at + 4)
              + StreamLayout.CHECKSUM_SIZE;
      frames.add(Arrays.copyOfRange(migration, at, at + size));
      at += size;
    }
    return frames;
  }

  private static byte[] join(List<byte[]> frames) {
    ByteArrayOutputStream stream = new ByteArrayOutputStream();
    stream.write(migration, 0, StreamLayout.PREAMBLE_SIZE);
    frames.forEach(stream::writeBytes);
    return stream.toByteArray();
  }

  @Test
  void replay_frameLeftOut_badSequence() throws IOException {
    for (int i = 0; i < frames().size() - 1; i++) {
      List<byte[]> frames = frames();
      frames.remove(i);
      assertEquals(Fault.BAD_SEQUENCE, replay(join(frames)).fault(), "without frame " + i);
    }
  }

  @Test
  void replay_frameTwice_badSequence() throws IOException {
    for (int i = 0; i < frames().size() - 1; i++) {
      List<byte[]> frames = frames();
      frames.add(i, frames.get(i));
      assertEquals(Fault.BAD_SEQUENCE, replay(join(frames)).fault(), "frame " + i + " twice");
    }
  }

  /** Written again as a right stream, except that one frame is missing: the digest finds it. */
  @Test
  void replay_frameMissingFromTheStart_badDigest() throws IOException {
    List<byte[]> frames = frames();
    ByteArrayOutputStream stream = new ByteArrayOutputStream();
    FrameWriter writer = new FrameWriter(stream);
    for (int i = 0; i < frames.size(); i++) {
      byte[] frame = frames.get(i);
      FrameType type = FrameType.of(java.nio.ByteBuffer.wrap(frame).getInt(0));
      if (type == null || i == 1) {
        assertEquals(FrameType.ROUND, type);
        continue;
      }
      writer
          .begin()
          .put(
              frame,
              StreamLayout.HEADER_SIZE,
              frame.length - StreamLayout.HEADER_SIZE - StreamLayout.CHECKSUM_SIZE);
      writer.end(type);
    }
    writer.flush();
    assertEquals(Fault.BAD_DIGEST, replay(stream.toByteArray()).fault());
  }

  @Test
  void replay_rightFramesThatMakeNoSense_badContent() throws IOException {
    assertEquals(Fault.BAD_CONTENT, replay(streamOf(FrameType.HELLO, new byte[0])).fault());
    assertEquals(
        Fault.BAD_CONTENT, replay(streamOf(FrameType.HELLO, new byte[] {127, 0, 0, 0, 1})).fault());
    assertEquals(Fault.BAD_FRAME, replay(streamOf(FrameType.COMMIT, new byte[0])).fault());
    assertEquals(
        Fault.PEER_GAVE_UP,
        replay(streamOf(FrameType.ABORT, new byte[] {0, 0, 0, 1, 'x'})).fault());
    byte[] outside = new byte[] {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, (byte) 0xff, 1, 2};
    assertEquals(Fault.BAD_CONTENT, replay(afterHello(FrameType.DATA, outside)).fault());
    byte[] negative = outside.clone();
    negative[4] = -1;
    assertEquals(Fault.BAD_CONTENT, replay(afterHello(FrameType.DATA, negative)).fault());
    byte[] noSlot = outside.clone();
    noSlot[0] = 1;
    assertEquals(Fault.BAD_CONTENT, replay(afterHello(FrameType.DATA, noSlot)).fault());
    byte[] endless = new byte[20];
    Arrays.fill(endless, 12, 20, (byte) 0x7f);
    assertEquals(Fault.BAD_CONTENT, replay(afterHello(FrameType.ZERO, endless)).fault());
  }

  private static byte[] streamOf(FrameType type, byte[] body) throws IOException {
    ByteArrayOutputStream stream = new ByteArrayOutputStream();
    FrameWriter writer = new FrameWriter(stream);
    writer.begin().put(body);
    writer.end(type);
    writer.flush();
    return stream.toByteArray();
  }

  private static byte[] afterHello(FrameType type, byte[] body) throws IOException {
    byte[] hello = frames().getFirst();
    ByteArrayOutputStream stream = new ByteArrayOutputStream();
    FrameWriter writer = new FrameWriter(stream);
    writer
        .begin()
        .put(
            hello,
            StreamLayout.HEADER_SIZE,
            hello.length - StreamLayout.HEADER_SIZE - StreamLayout.CHECKSUM_SIZE);
    writer.end(FrameType.HELLO);
    writer.begin().put(body);
    writer.end(type);
    writer.flush();
    return stream.toByteArray();
  }

  @Test
  void ram_randomContentWithHoles_readAgain() throws IOException {
    long seed = new Random().nextLong();
    Random random = new Random(seed);
    byte[] ram = new byte[(1 << 20) + 12_345];
    for (int page = 0; page < ram.length; page += 4096) {
      if (random.nextBoolean()) {
        ram[Math.min(ram.length - 1, page + random.nextInt(4096))] = 1;
      }
    }
    ByteArrayOutputStream stream = new ByteArrayOutputStream();
    FrameWriter writer = new FrameWriter(stream);
    writer.ram(FrameType.DATA, FrameType.ZERO, 5, 4096, MemorySegment.ofArray(ram));
    writer.flush();
    assertEquals(stream.size(), writer.bytes());
    assertTrue(stream.size() < ram.length * 3 / 4, "zeroes are not sent, seed " + seed);

    byte[] copy = new byte[ram.length];
    Arrays.fill(copy, (byte) -1);
    FrameReader reader = new FrameReader(new ByteArrayInputStream(stream.toByteArray()));
    for (long done = 0; done < ram.length; ) {
      FrameType type = reader.next();
      assertEquals(5, reader.body().getInt());
      int offset = (int) reader.body().getLong() - 4096;
      assertEquals(done, offset);
      int length =
          type == FrameType.ZERO ? (int) reader.body().getLong() : reader.body().remaining();
      if (type == FrameType.ZERO) {
        Arrays.fill(copy, offset, offset + length, (byte) 0);
      } else {
        reader.body().get(copy, offset, length);
      }
      done += length;
    }
    assertArrayEquals(ram, copy, "seed " + seed);
  }

  @Test
  void next_otherVersion_saysWhich() throws IOException {
    byte[] stream = streamOf(FrameType.ABORT, new byte[0]);
    stream[11] = 9;
    java.util.zip.CRC32C crc = new java.util.zip.CRC32C();
    crc.update(stream, 0, 12);
    java.nio.ByteBuffer.wrap(stream).putInt(12, (int) crc.getValue());
    StreamException thrown = replay(stream);
    assertEquals(Fault.BAD_VERSION, thrown.fault());
    assertTrue(String.valueOf(thrown.getMessage()).contains("version 9"));
  }
}
