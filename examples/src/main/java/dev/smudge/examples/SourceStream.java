package dev.smudge.examples;

import dev.smudge.bitmap.PageSet;
import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.examples.StreamException.Fault;
import dev.smudge.sync.DirtyBatch;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The source's side of a migration stream; order and layout: {@link StreamLayout}. */
final class SourceStream {
  private static final long PIECE = 4 << 20;

  private final GuestMemory memory;
  private final MigrationListener listener;
  private final FrameWriter out;
  private final FrameReader in;
  private final Map<GuestSlot, PageSet> sent = new LinkedHashMap<>();
  private boolean commitSent;

  SourceStream(Connection connection, GuestMemory memory, MigrationListener listener)
      throws IOException {
    this.memory = memory;
    this.listener = listener;
    this.out = new FrameWriter(connection.output());
    this.in = new FrameReader(connection.input());
    for (GuestSlot slot : memory.slots()) {
      sent.put(slot, new PageSet(slot.pageCount()));
    }
  }

  long bytes() {
    return out.bytes();
  }

  /** Says what comes, and waits until the destination accepts it. */
  void greet(Program program) throws IOException {
    ByteBuffer body = out.begin();
    FrameWriter.putString(body, program.kind());
    FrameWriter.putBytes(body, program.config());
    putSlots(body, memory);
    out.end(FrameType.HELLO);
    out.flush();
    in.expect(FrameType.ACCEPTED);
  }

  static void putSlots(ByteBuffer body, GuestMemory memory) {
    body.putInt(memory.slots().size());
    for (GuestSlot slot : memory.slots()) {
      body.putInt(slot.id()).putLong(slot.guestAddress());
      body.putLong(slot.size()).putLong(slot.pageSize());
    }
  }

  /**
   * Sends the pages of a batch, and hands them all to the connection.
   *
   * @param since when the batch before was taken
   */
  Round send(DirtyBatch<GuestSlot> batch, int number, long began, long since, boolean last)
      throws IOException {
    checkPeer();
    long pages = batch.pageCount();
    long before = out.bytes();
    listener.roundBegins(number, pages);
    out.begin().putInt(number);
    out.end(FrameType.ROUND);
    batch.forEachRun((slot, firstPage, count) -> {
      sentPages(slot).addRange(firstPage, count);
      sendRun(slot, firstPage, slot.pages(firstPage, count));
    });
    out.flush();
    long now = System.nanoTime();
    return new Round(
        number,
        pages,
        out.bytes() - before,
        now - began,
        batch.barrierNanos(),
        began - since,
        last);
  }

  /** In pieces, so that the progress is seen. */
  private void sendRun(GuestSlot slot, long firstPage, MemorySegment content) throws IOException {
    long pageSize = slot.pageSize();
    long piece = Math.max(pageSize, PIECE / pageSize * pageSize);
    for (long at = 0; at < content.byteSize(); at += piece) {
      long length = Math.min(piece, content.byteSize() - at);
      out.ram(
          FrameType.DATA,
          FrameType.ZERO,
          slot.id(),
          firstPage * pageSize + at,
          content.asSlice(at, length));
      listener.sent(length / pageSize);
    }
  }

  private PageSet sentPages(GuestSlot slot) {
    return sent.computeIfAbsent(slot, s -> new PageSet(s.pageCount()));
  }

  /** A destination that gave up says so before the connection breaks. */
  private void checkPeer() throws IOException {
    if (in.hasInput()) {
      throw in.unexpected(in.next(), "nothing");
    }
  }

  /** Sends the rest, and waits until the destination has checked all and could run the guest. */
  void finish(byte[] state, long[] lines) throws IOException {
    for (int at = 0; at < state.length; at += StreamLayout.MAX_CONTENT) {
      out.begin().put(state, at, Math.min(StreamLayout.MAX_CONTENT, state.length - at));
      out.end(FrameType.STATE);
    }
    byte[] digest = out.digest();
    ByteBuffer body = out.begin();
    body.putLong(state.length).putInt(lines.length);
    for (long count : lines) {
      body.putLong(count);
    }
    body.put(digest);
    out.end(FrameType.END);
    out.flush();
    byte[] theirs = new byte[StreamLayout.DIGEST_SIZE];
    ByteBuffer ready = in.expect(FrameType.READY);
    if (ready.remaining() == theirs.length) {
      ready.get(theirs);
    }
    if (!Arrays.equals(digest, theirs)) {
      throw new StreamException(Fault.BAD_DIGEST, "the destination has read another stream");
    }
  }

  /** Has the destination compare its RAM with all that was sent or can have been written. */
  Comparison compare(Program program) throws IOException {
    Map<Integer, PageSet> pages = new LinkedHashMap<>();
    sent.forEach((slot, set) -> pages.put(slot.id(), set));
    program.footprint(memory, (address, length) -> add(pages, address, length));
    for (GuestSlot slot : memory.slots()) {
      PageSet set = pages.get(slot.id());
      if (set != null) {
        sendForComparison(slot, set);
      }
    }
    out.send(FrameType.COMPARE_END);
    ByteBuffer body = in.expect(FrameType.COMPARED);
    long compared = body.getLong();
    long differing = body.getLong();
    List<Long> first = new ArrayList<>();
    for (int n = body.getInt(); n > 0; n--) {
      first.add(body.getLong());
    }
    return new Comparison(compared, differing, first);
  }

  private void add(Map<Integer, PageSet> pages, long address, long length) {
    for (GuestSlot slot : memory.slots()) {
      long offset = address - slot.guestAddress();
      if (offset >= 0 && offset < slot.size()) {
        long first = offset / slot.pageSize();
        long end = (offset + length - 1) / slot.pageSize();
        pages
            .computeIfAbsent(slot.id(), id -> new PageSet(slot.pageCount()))
            .addRange(first, end - first + 1);
      }
    }
  }

  private void sendForComparison(GuestSlot slot, PageSet pages) throws IOException {
    List<long[]> runs = new ArrayList<>();
    pages.forEachRun((first, count) -> runs.add(new long[] {first, count}));
    long pageSize = slot.pageSize();
    for (long[] run : runs) {
      long offset = run[0] * pageSize;
      out.ram(
          FrameType.COMPARE,
          FrameType.COMPARE_ZERO,
          slot.id(),
          offset,
          slot.ram().asSlice(offset, run[1] * pageSize));
    }
  }

  /** Tells the destination to run the guest, and waits until it says that it does. */
  void commit() throws IOException {
    commitSent = true;
    out.send(FrameType.COMMIT);
    in.expect(FrameType.RUNNING);
  }

  /** Waits until the guest has ended there. */
  Verdict awaitReport() throws IOException {
    for (; ; ) {
      FrameType type = in.next();
      if (type == FrameType.PROGRESS) {
        listener.destinationRuns(in.body().getLong());
      } else if (type == FrameType.REPORT) {
        boolean verified = in.body().getInt() == 1;
        return new Verdict(verified, FrameReader.string(in.body()));
      } else {
        throw in.unexpected(type, "PROGRESS or REPORT");
      }
    }
  }

  /** Tells the destination that it gets no guest, if it can be told and it was not. */
  void abort(Exception reason) {
    if (!commitSent) {
      try {
        out.send(FrameType.ABORT, String.valueOf(reason.getMessage()));
      } catch (IOException e) {
        addReasonOfPeer(reason);
      }
    }
  }

  /** A destination that closed the connection may have said why before. */
  private void addReasonOfPeer(Exception reason) {
    try {
      reason.addSuppressed(in.unexpected(in.next(), "nothing"));
    } catch (IOException e) {
      reason.addSuppressed(e);
    }
  }
}
