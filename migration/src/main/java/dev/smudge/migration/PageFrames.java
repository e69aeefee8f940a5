package dev.smudge.migration;

import dev.smudge.migration.MigrationException.Fault;
import dev.smudge.sync.pages.PagePort;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.zip.DataFormatException;
import java.util.zip.Deflater;
import java.util.zip.Inflater;

/**
 * Pages as frames: zero, as they are, or compressed. How pages are coded is known here alone. For
 * one thread, and one direction.
 *
 * <p>Unlike the runs of {@code dev.smudge.snapshot.stream}, of which each page can be read alone, a
 * frame is read as a whole: one checksum and one deflate stream for all of its pages, and zeroes
 * take the same few bytes however many they are.
 */
final class PageFrames implements AutoCloseable {
  /** Compressed content that is not shorter than this part of it is sent as it is. */
  private static final double WORTH = 0.9;

  private byte[] page = new byte[0];
  private byte[] zero = new byte[0];
  private byte[] content = new byte[0];
  private byte[] coded = new byte[0];
  private final Deflater deflater = new Deflater(Deflater.BEST_SPEED, true);
  private final Inflater inflater = new Inflater(true);

  private void pageBytes(int bytes) {
    if (page.length != bytes) {
      page = new byte[bytes];
      zero = new byte[bytes];
      content = new byte[framePages(bytes) * bytes];
      coded = new byte[content.length];
    }
  }

  /** {@return how many pages of a size a frame has at most} */
  static int framePages(int pageBytes) {
    return Math.max(1, StreamLayout.MAX_CONTENT / pageBytes);
  }

  /**
   * Sends pages, which are read once each: the checksum is that of what is sent, even if the guest
   * writes them meanwhile.
   *
   * @param count at most {@link #framePages}
   */
  <S> void send(
      FrameWriter out, PagePort<S> ram, S slot, long firstPage, int count, boolean compress)
      throws IOException {
    int bytes = ram.pageBytes(slot);
    pageBytes(bytes);
    int from = 0; // first page that is not sent yet
    boolean zeroes = false; // what the pages since then are
    for (int at = 0; at < count; at++) {
      Arrays.fill(page, (byte) 0); // the last page may not be RAM to its end
      ram.read(slot, firstPage + at, page);
      boolean isZero = Arrays.equals(page, zero);
      if (isZero != zeroes && at > from) {
        send(out, ram.slotId(slot), firstPage + from, at - from, zeroes, compress);
        from = at;
      }
      zeroes = isZero;
      if (!isZero) {
        System.arraycopy(page, 0, content, (at - from) * bytes, bytes);
      }
    }
    send(out, ram.slotId(slot), firstPage + from, count - from, zeroes, compress);
  }

  private void send(
      FrameWriter out, int slotId, long first, int count, boolean zeroes, boolean compress)
      throws IOException {
    ByteBuffer body = out.begin().putInt(slotId).putLong(first);
    if (zeroes) {
      body.putLong(count);
      out.end(FrameType.ZERO);
      return;
    }
    int length = count * page.length;
    int shorter = compress ? deflate(length) : length;
    boolean worth = shorter < length * WORTH;
    body.putInt(count).putInt(worth ? StreamLayout.DEFLATED : StreamLayout.RAW);
    out.end(FrameType.PAGES, worth ? coded : content, worth ? shorter : length);
  }

  private int deflate(int length) {
    deflater.reset();
    deflater.setInput(content, 0, length);
    deflater.finish();
    int shorter = deflater.deflate(coded);
    return deflater.finished() ? shorter : length;
  }

  /** Writes the pages of a PAGES frame to RAM, and marks them for the other clients. */
  <S> void receivePages(ByteBuffer body, GuestRam<S> ram) throws MigrationException {
    S slot = slot(body, ram);
    long first = body.getLong();
    int count = body.getInt();
    int code = body.getInt();
    int bytes = ram.pages().pageBytes(slot);
    pageBytes(bytes);
    checkRange(ram, slot, first, count);
    if (count > framePages(bytes)) {
      throw bad(count + " pages of " + bytes + " bytes in a frame");
    }
    decode(body, code, count * bytes);
    for (int at = 0; at < count; at++) {
      System.arraycopy(content, at * bytes, page, 0, bytes);
      ram.pages().write(slot, first + at, page);
    }
    mark(ram, slot, first, count);
  }

  private void decode(ByteBuffer body, int code, int length) throws MigrationException {
    int sent = body.remaining();
    if (code == StreamLayout.RAW && sent == length) {
      body.get(content, 0, length);
    } else if (code == StreamLayout.DEFLATED) {
      inflater.reset();
      inflater.setInput(body);
      try {
        int got = inflater.inflate(content, 0, length);
        if (got != length || inflater.inflate(coded) != 0 || !inflater.finished()) {
          throw bad("compressed pages of other than " + length + " bytes");
        }
      } catch (DataFormatException e) {
        throw bad("compressed pages that cannot be read: " + e.getMessage());
      }
    } else {
      throw bad(sent + " bytes of code " + code + " for pages of " + length);
    }
  }

  /** Writes the zeroes of a ZERO frame, where RAM is not zero: else it might be committed. */
  <S> void receiveZeroes(ByteBuffer body, GuestRam<S> ram) throws MigrationException {
    S slot = slot(body, ram);
    long first = body.getLong();
    long count = body.getLong();
    pageBytes(ram.pages().pageBytes(slot));
    checkRange(ram, slot, first, count);
    for (long at = first; at < first + count; at++) {
      Arrays.fill(page, (byte) 0);
      ram.pages().read(slot, at, page);
      if (!Arrays.equals(page, zero)) {
        ram.pages().write(slot, at, zero);
        mark(ram, slot, at, 1);
      }
    }
  }

  /**
   * Marked as a device marks what it wrote, so that the guest can be migrated again: by another
   * client, or by this one, for which it is not dirty.
   */
  private static <S> void mark(GuestRam<S> ram, S slot, long first, long count) {
    long pageSize = ram.pages().pageSize(slot);
    ram.client().markForOthers(slot, first * pageSize, count * pageSize);
    MigrationSource.Sent sent = MigrationSource.sent(ram.client());
    synchronized (sent) { // other streams
      sent.of(ram, slot).addRange(first, count);
    }
  }

  private static <S> S slot(ByteBuffer body, GuestRam<S> ram) throws MigrationException {
    int id = body.getInt();
    for (S slot : ram.slots()) {
      if (ram.pages().slotId(slot) == id) {
        return slot;
      }
    }
    throw bad("pages of slot " + id + ", which is not there");
  }

  private static <S> void checkRange(GuestRam<S> ram, S slot, long first, long count)
      throws MigrationException {
    long pages = ram.pages().pageCount(slot);
    if (first < 0 || count < 1 || first > pages || count > pages - first) {
      throw bad(count + " pages from page " + first + " of " + slot + ", which has " + pages);
    }
  }

  private static MigrationException bad(String what) {
    return new MigrationException(Fault.BAD_CONTENT, "a frame is invalid: " + what);
  }

  @Override
  public void close() {
    deflater.end();
    inflater.end();
  }
}
