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

  /**
   * Tells the destination that it gets no guest, if it can be told. What the destination said is
   * added to the reason. A connection that broke is no reason where the destination said one.
   *
   * @throws MigrationException what the destination said, in place of a connection that broke
   */
  void abort(Exception reason) throws MigrationException {
    MigrationException said = null;
    try {
      if (in.hasInput()) {
        said = reasonOfPeer(reason);
      }
      out.send(FrameType.ABORT, String.valueOf(reason.getMessage()));
    } catch (IOException e) {
      // It closed the connection, and may have said why before.
      said = said == null ? reasonOfPeer(reason) : said;
    }
    if (said != null) {
      throw said;
    }
  }

  /**
   * {@return what the destination said, if that is why it ends; if not, it is added to the reason}
   */
  private @Nullable MigrationException reasonOfPeer(Exception reason) {
    if (reason.getSuppressed().length > 0
        || (reason instanceof MigrationException known && known.fault() == Fault.PEER_GAVE_UP)) {
      return null;
    }
    try {
      MigrationException said = in.unexpected(in.next(), "nothing");
      boolean broke = reason instanceof IOException && !(reason instanceof MigrationException);
      if (broke && said.fault() == Fault.PEER_GAVE_UP) {
        said.addSuppressed(reason);
        return said;
      }
      reason.addSuppressed(said);
    } catch (IOException e) {
      reason.addSuppressed(e);
    }
    return null;
  }
}
