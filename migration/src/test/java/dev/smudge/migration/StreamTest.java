package dev.smudge.migration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.migration.MigrationException.Fault;
import dev.smudge.testbase.Seed;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.UUID;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The stream: what is written is read again, and nothing else is ever taken for it. */
@Timeout(60)
class StreamTest {
  private static byte[][] migration = new byte[2][]; // all that a source sent, COMMIT last

  @BeforeAll
  static void record() throws Exception {
    CuttingConnection[] recording = new CuttingConnection[2];
    try (Bench bench = new Bench(8)) {
      bench.source.compress(true);
      MigrationResult result =
          bench.migrate(
              2,
              (connection, i) -> recording[i] = new CuttingConnection(connection, Long.MAX_VALUE),
              Bench.NOTHING);
      bench.assertOneGuest(result);
    }
    migration = new byte[][] {recording[0].recorded(), recording[1].recorded()};
  }

  static Connection replay(byte[] stream) {
    return Connection.of(new ByteArrayInputStream(stream), OutputStream.nullOutputStream());
  }

  /** Which fault a destination finds, of which no guest runs. */
  private static MigrationException replay(byte[] first, byte[] second) throws Exception {
    boolean[] ran = {false};
    MigrationException thrown =
        assertThrows(MigrationException.class, () -> receive(first, second, () -> ran[0] = true));
    assertFalse(ran[0]);
    return thrown;
  }

  private static void receive(byte[] first, byte[] second, Runnable start) throws Exception {
    try (MigrationTarget target = MigrationTarget.accept(replay(first), replay(second));
        Guest guest = new Guest(target.slots())) {
      target.receive(guest.ram, guest, start);
      assertTrue(target.isRunning());
    }
  }

  private static Fault fault(int stream, byte[] damaged) throws Exception {
    return replay(stream == 0 ? damaged : migration[0], stream == 1 ? damaged : migration[1])
        .fault();
  }

  @Test
  void replay_wholeStreams_guestRuns() throws Exception {
    boolean[] ran = {false};
    receive(migration[0], migration[1], () -> ran[0] = true);
    assertTrue(ran[0]);
  }

  @Test
  void replay_anyPrefix_truncatedAndGuestNotRun() throws Exception {
    for (int stream = 0; stream < 2; stream++) {
      for (int length = 0; length < migration[stream].length; length += step(stream, length)) {
        byte[] prefix = Arrays.copyOf(migration[stream], length);
        assertEquals(Fault.TRUNCATED, fault(stream, prefix), stream + ", prefix of " + length);
      }
    }
  }

  @Test
  void replay_anyByteFlipped_specificFaultAndGuestNotRun() throws Exception {
    for (int stream = 0; stream < 2; stream++) {
      for (int at = 0; at < migration[stream].length; at += step(stream, at)) {
        byte[] damaged = migration[stream].clone();
        damaged[at] ^= (byte) (1 << at % 8);
        Fault expected = at < 8 ? Fault.BAD_MAGIC : Fault.BAD_CHECKSUM;
        assertEquals(expected, fault(stream, damaged), stream + ", byte " + at);
      }
    }
  }

  /** All of a stream but the middle of long contents. */
  private static int step(int stream, int at) {
    return at < 200 || at > migration[stream].length - 200 ? 1 : 13;
  }

  /** The frames of a recorded stream, without the preamble. */
  private static List<byte[]> frames(int stream) {
    byte[] all = migration[stream];
    List<byte[]> frames = new ArrayList<>();
    for (int at = StreamLayout.PREAMBLE_SIZE; at < all.length; ) {
      int size =
          StreamLayout.HEADER_SIZE
              + ByteBuffer.wrap(all).getInt(at + 4)
              + StreamLayout.CHECKSUM_SIZE;
      frames.add(Arrays.copyOfRange(all, at, at + size));
      at += size;
    }
    return frames;
  }

  private static byte[] join(List<byte[]> frames) {
    ByteArrayOutputStream stream = new ByteArrayOutputStream();
    stream.write(migration[0], 0, StreamLayout.PREAMBLE_SIZE);
    frames.forEach(stream::writeBytes);
    return stream.toByteArray();
  }

  @Test
  void replay_frameLeftOutOrTwice_badSequence() throws Exception {
    for (int stream = 0; stream < 2; stream++) {
      for (int i = 0; i < frames(stream).size() - 1; i++) {
        List<byte[]> without = frames(stream);
        without.remove(i);
        assertEquals(Fault.BAD_SEQUENCE, fault(stream, join(without)), "without frame " + i);
        List<byte[]> twice = frames(stream);
        twice.add(i, twice.get(i));
        assertEquals(Fault.BAD_SEQUENCE, fault(stream, join(twice)), "frame " + i + " twice");
      }
    }
  }

  /** Written again as right frames, except that one is missing: the digest finds it. */
  @Test
  void replay_frameMissingFromTheStart_badDigest() throws Exception {
    for (int stream = 0; stream < 2; stream++) {
      List<byte[]> frames = frames(stream);
      frames.remove(1);
      assertEquals(Fault.BAD_DIGEST, fault(stream, rewritten(frames)));
    }
  }

  private static byte[] rewritten(List<byte[]> frames) throws IOException {
    ByteArrayOutputStream stream = new ByteArrayOutputStream();
    FrameWriter writer = new FrameWriter(stream);
    for (byte[] frame : frames) {
      write(writer, FrameType.of(ByteBuffer.wrap(frame).getInt(0)), body(frame));
    }
    writer.flush();
    return stream.toByteArray();
  }

  private static void write(
      FrameWriter writer, @org.jspecify.annotations.Nullable FrameType type, byte[] body)
      throws IOException {
    writer.begin();
    writer.end(java.util.Objects.requireNonNull(type), body, body.length);
  }

  private static byte[] body(byte[] frame) {
    return Arrays.copyOfRange(
        frame, StreamLayout.HEADER_SIZE, frame.length - StreamLayout.CHECKSUM_SIZE);
  }

  private static byte[] streamOf(FrameType type, byte[] body) throws IOException {
    ByteArrayOutputStream stream = new ByteArrayOutputStream();
    FrameWriter writer = new FrameWriter(stream);
    write(writer, type, body);
    writer.flush();
    return stream.toByteArray();
  }

  /** A right HELLO, and then a frame. */
  private static Fault afterHello(FrameType type, ByteBuffer body) throws Exception {
    ByteArrayOutputStream stream = new ByteArrayOutputStream();
    FrameWriter writer = new FrameWriter(stream);
    write(writer, FrameType.HELLO, body(frames(0).get(0)));
    write(writer, type, FrameReader.rest(body.flip()));
    writer.flush();
    return fault(0, stream.toByteArray());
  }

  private static ByteBuffer pages(int slot, long first, int count, int code, int bytes) {
    return ByteBuffer.allocate(20 + bytes)
        .putInt(slot)
        .putLong(first)
        .putInt(count)
        .putInt(code)
        .put(new byte[bytes]);
  }

  @Test
  void replay_rightFramesThatMakeNoSense_badContent() throws Exception {
    assertEquals(Fault.BAD_CONTENT, fault(0, streamOf(FrameType.HELLO, new byte[0])));
    byte[] endless = body(frames(0).get(0));
    ByteBuffer.wrap(endless).putInt(28, Integer.MAX_VALUE);
    assertEquals(Fault.BAD_CONTENT, fault(0, streamOf(FrameType.HELLO, endless)));
    assertEquals(Fault.BAD_FRAME, fault(0, streamOf(FrameType.COMMIT, new byte[0])));
    assertEquals(Fault.PEER_GAVE_UP, fault(0, streamOf(FrameType.ABORT, new byte[] {'x'})));
    FrameType type = FrameType.PAGES;
    assertEquals(Fault.BAD_CONTENT, afterHello(type, pages(0, 0, 1, 0, 7)));
    assertEquals(Fault.BAD_CONTENT, afterHello(type, pages(0, 0, 1, 1, 7)));
    assertEquals(Fault.BAD_CONTENT, afterHello(type, pages(0, 0, 1, 2, 4096)));
    assertEquals(Fault.BAD_CONTENT, afterHello(type, pages(1, 0, 1, 0, 4096)));
    assertEquals(Fault.BAD_CONTENT, afterHello(type, pages(0, 4, 1, 0, 4096)));
    assertEquals(Fault.BAD_CONTENT, afterHello(type, pages(0, -1, 1, 0, 4096)));
    assertEquals(Fault.BAD_CONTENT, afterHello(type, pages(0, 0, -1, 0, 4096)));
    assertEquals(Fault.BAD_CONTENT, afterHello(type, pages(0, 0, 5, 0, 4096)));
    ByteBuffer zeroes = ByteBuffer.allocate(20).putInt(0).putLong(1).putLong(Long.MAX_VALUE);
    assertEquals(Fault.BAD_CONTENT, afterHello(FrameType.ZERO, zeroes));
    assertEquals(Fault.BAD_CONTENT, afterHello(type, ByteBuffer.allocate(2).putShort((short) 0)));
  }

  /** A state in each stream would take the memory of each. */
  @Test
  void replay_frameOfTheFirstStreamInAnother_badFrame() throws Exception {
    for (FrameType type : List.of(FrameType.STATE, FrameType.ROUND, FrameType.MESSAGE)) {
      ByteArrayOutputStream stream = new ByteArrayOutputStream();
      FrameWriter writer = new FrameWriter(stream);
      write(writer, FrameType.HELLO, body(frames(1).get(0)));
      write(writer, type, new byte[4]);
      byte[] digest = writer.digest();
      write(writer, FrameType.END, ByteBuffer.allocate(40).putLong(4).put(digest).array());
      writer.flush();
      assertEquals(Fault.BAD_FRAME, fault(1, stream.toByteArray()), type.toString());
    }
  }

  /** Runs of zeroes and of other pages, longer and shorter than a frame; over what was there. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void pages_randomContentWithHoles_readAgain(boolean compress) throws Exception {
    SplittableRandom random = Seed.random("pages");
    List<SlotShape> shape = List.of(new SlotShape(5, 300, Guest.PAGE));
    try (Guest from = new Guest(shape);
        Guest to = new Guest(shape)) {
      byte[] page = new byte[Guest.PAGE];
      for (long at = 0; at < 300; at++) {
        Arrays.fill(page, (byte) 0);
        if (random.nextInt(100) < 95 == at % 200 < 100) {
          page[random.nextInt(page.length)] = 1;
        }
        from.write(from.slots.get(0), at, page);
        Arrays.fill(page, (byte) -1);
        to.write(to.slots.get(0), at, page);
      }
      ByteArrayOutputStream stream = new ByteArrayOutputStream();
      Connection sending = Connection.of(InputStream.nullInputStream(), stream);
      try (SourceStream source = new SourceStream(sending, 1)) {
        source.greet(UUID.randomUUID(), 2, null, false, new byte[0]);
        int most = PageFrames.framePages(Guest.PAGE);
        for (int at = 0; at < 300; at += most) {
          source.frames.send(
              source.out, from, from.slots.get(0), at, Math.min(most, 300 - at), compress);
        }
        source.end(0);
        assertEquals(stream.size(), source.out.bytes());
      }
      assertTrue(stream.size() < 300 * Guest.PAGE * 3 / 4, "zeroes are not sent");
      try (TargetStream target = new TargetStream(replay(stream.toByteArray()))) {
        target.receive(to.ram, MigrationListener.NONE);
      }
      assertEquals("", to.differenceFrom(from));
    }
  }

  @Test
  void next_otherVersion_saysWhich() throws Exception {
    byte[] stream = streamOf(FrameType.ABORT, new byte[0]);
    stream[11] = 9;
    CRC32C crc = new CRC32C();
    crc.update(stream, 0, 12);
    ByteBuffer.wrap(stream).putInt(12, (int) crc.getValue());
    MigrationException thrown = replay(stream, migration[1]);
    assertEquals(Fault.BAD_VERSION, thrown.fault());
    assertTrue(String.valueOf(thrown.getMessage()).contains("version 9"));
  }
}
