package dev.smudge.migration;

import dev.smudge.migration.MigrationException.Fault;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;

/** One stream of a destination; order and layout: {@link StreamLayout}. */
final class TargetStream extends StreamEnd {
  private final ByteArrayOutputStream state = new ByteArrayOutputStream();
  int stateLimit = StreamLayout.MAX_STATE;
  final UUID migration;
  final int index;
  final int streams;
  boolean checked;
  List<SlotShape> slots = List.of();
  byte[] greeting = new byte[0];
  private byte[] digest = new byte[0];

  /** Reads the begin of a stream. */
  TargetStream(Connection connection) throws IOException {
    super(connection);
    try {
      ByteBuffer hello = in.expect(FrameType.HELLO);
      this.migration = new UUID(hello.getLong(), hello.getLong());
      this.index = hello.getInt();
      this.streams = hello.getInt();
      if (index == 0) {
        readGuest(hello);
      }
    } catch (IOException | RuntimeException e) {
      IOException bad = understood(e);
      refuse(bad);
      throw bad;
    }
  }

  private void readGuest(ByteBuffer hello) throws MigrationException {
    checked = hello.getInt() != 0;
    int count = hello.getInt();
    if (count < 0 || count > StreamLayout.MAX_SENT_SLOTS) {
      throw new MigrationException(
          Fault.BAD_CONTENT, count + " slots; at most " + StreamLayout.MAX_SENT_SLOTS);
    }
    List<SlotShape> shapes = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      shapes.add(new SlotShape(hello.getInt(), hello.getLong(), hello.getInt()));
    }
    slots = List.copyOf(shapes);
    greeting = FrameReader.rest(hello);
  }

  /** A body that ends too early or has no sense is the stream's fault, and is said like that. */
  static IOException understood(Exception e) {
    if (e instanceof IOException known) {
      return known;
    }
    MigrationException bad =
        new MigrationException(Fault.BAD_CONTENT, "a frame is invalid: " + e.getMessage());
    bad.initCause(e);
    return bad;
  }

  /** Reads all up to END, and writes the pages. */
  <S> void receive(GuestRam<S> ram, MigrationListener listener) throws IOException {
    for (FrameType type = in.next(); type != FrameType.END; type = in.next()) {
      if (index != 0 && type != FrameType.PAGES && type != FrameType.ZERO) {
        throw in.unexpected(type, "PAGES, ZERO or END"); // a state per stream would take its memory
      }
      switch (type) {
        case ROUND -> {
          int number = in.body().getInt();
          listener.progress(new MigrationProgress(number, 0, 0, 0, 0, 0, 0, Long.MAX_VALUE));
        }
        case PAGES -> frames.receivePages(in.body(), ram);
        case ZERO -> frames.receiveZeroes(in.body(), ram);
        case STATE -> state();
        default -> throw in.unexpected(type, "PAGES or END");
      }
    }
    ByteBuffer body = in.body();
    long stateSize = body.getLong();
    if (stateSize != state.size()) {
      throw new MigrationException(
          Fault.BAD_CONTENT,
          "a state of " + state.size() + " bytes came, and " + stateSize + " were sent");
    }
    digest = in.digestBeforeEnd();
    if (!Arrays.equals(FrameReader.rest(body), digest)) {
      throw new MigrationException(
          Fault.BAD_DIGEST, "each frame is right, and yet this is not the stream that was sent");
    }
  }

  private void state() throws MigrationException {
    ByteBuffer body = in.body();
    if (body.remaining() > stateLimit - state.size()) {
      throw new MigrationException(
          Fault.BAD_CONTENT, "the state of the machine has more than " + stateLimit + " bytes");
    }
    state.writeBytes(FrameReader.rest(body));
  }

  byte[] machineState() {
    return state.toByteArray();
  }

  byte[] digest() {
    return digest;
  }

  /** Tells the source that it keeps its guest, if it can be told, and why. */
  void refuse(Exception reason) {
    try {
      out.send(FrameType.REFUSED, String.valueOf(reason.getMessage()));
    } catch (Throwable e) { // whatever it is, the connections are to be closed after this
      addTo(reason, e);
    }
  }
}
