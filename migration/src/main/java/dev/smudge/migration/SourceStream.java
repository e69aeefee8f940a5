package dev.smudge.migration;

import dev.smudge.migration.MigrationException.Fault;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

/** One stream of a source; order and layout: {@link StreamLayout}. */
final class SourceStream extends StreamEnd {
  private final int index;

  SourceStream(Connection connection, int index) throws IOException {
    super(connection);
    this.index = index;
  }

  /** Says what comes. The first stream tells of the guest as well. */
  void greet(UUID id, int streams, @Nullable GuestRam<?> ram, boolean checked, byte[] greeting)
      throws IOException {
    ByteBuffer body = out.begin();
    body.putLong(id.getMostSignificantBits()).putLong(id.getLeastSignificantBits());
    body.putInt(index).putInt(streams);
    if (ram != null) {
      body.putInt(checked ? 1 : 0).putInt(ram.slots().size());
      for (SlotShape slot : ram.shapes()) {
        body.putInt(slot.id()).putLong(slot.pageCount()).putInt(slot.pageBytes());
      }
      out.end(FrameType.HELLO, greeting, greeting.length);
    } else {
      out.end(FrameType.HELLO);
    }
    out.flush();
  }

  /** Sends a state, in pieces. */
  void state(byte[] state) throws IOException {
    for (int at = 0; at < state.length; at += StreamLayout.MAX_CONTENT) {
      out.begin().put(state, at, Math.min(StreamLayout.MAX_CONTENT, state.length - at));
      out.end(FrameType.STATE);
    }
  }

  /** {@return the digest of this stream, which it ends} */
  byte[] end(long stateBytes) throws IOException {
    byte[] digest = out.digest();
    out.begin().putLong(stateBytes).put(digest);
    out.end(FrameType.END);
    out.flush();
    return digest;
  }

  /** A destination that gave up says so before the connection breaks. */
  void checkPeer() throws IOException {
    if (in.hasInput()) {
      throw in.unexpected(in.next(), "nothing");
    }
  }

  /** Tells the destination that it gets no guest, if it can be told, or adds what it said. */
  void abort(Exception reason) {
    try {
      if (in.hasInput()) {
        addReasonOfPeer(reason);
      }
      out.send(FrameType.ABORT, String.valueOf(reason.getMessage()));
    } catch (IOException | RuntimeException e) {
      addReasonOfPeer(reason);
    }
  }

  /** A destination that closed the connection may have said why before. */
  private void addReasonOfPeer(Exception reason) {
    if (reason instanceof MigrationException known && known.fault() == Fault.PEER_GAVE_UP) {
      return;
    }
    if (reason.getSuppressed().length > 0) {
      return;
    }
    try {
      addTo(reason, in.unexpected(in.next(), "nothing"));
    } catch (IOException | RuntimeException e) {
      addTo(reason, e);
    }
  }
}
