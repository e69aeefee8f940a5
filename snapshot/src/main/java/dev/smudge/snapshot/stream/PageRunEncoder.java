package dev.smudge.snapshot.stream;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.zip.CRC32C;
import java.util.zip.Deflater;
import org.jspecify.annotations.Nullable;

/**
 * Makes runs of pages, one after the other: {@link #begin}, {@link #add} per page, {@link #finish}.
 * Compresses by {@link Deflater}, at its fastest level. Keeps its buffers, so a run allocates
 * nothing once the first of its size was made. Source: {@link PageRunLayout}.
 *
 * <p>Threads: for one at a time. Close it: the compressor has memory outside the heap.
 */
public final class PageRunEncoder implements AutoCloseable {
  /** Most pages of a run. */
  public static final int MAX_PAGES = 64;

  /** Largest page: what an entry's length can say, with a key. */
  public static final int MAX_PAGE_BYTES = 1 << 22;

  private final Deflater deflater = new Deflater(Deflater.BEST_SPEED, true);
  private final CRC32C crc = new CRC32C();
  private final ByteBuffer head = ByteBuffer.allocate(PageRunLayout.headSize(MAX_PAGES));
  private byte[] content = new byte[0];
  private byte[] compressed = new byte[0];
  private byte[] difference = new byte[0];
  private int pageBytes;
  private int count;
  private int length; // of the contents
  private long lastPage;

  /** Makes one without a run. */
  public PageRunEncoder() {}

  /**
   * Begins a run. One that was not finished is forgotten.
   *
   * @param slotId number of the slot
   * @param bytesPerPage bytes of each page, 1 to {@link #MAX_PAGE_BYTES}
   * @throws IllegalArgumentException if {@code bytesPerPage} is outside that; nothing is begun
   */
  public void begin(int slotId, int bytesPerPage) {
    if (bytesPerPage < 1 || bytesPerPage > MAX_PAGE_BYTES) {
      throw new IllegalArgumentException(
          "pages of " + bytesPerPage + " bytes: from 1 to " + MAX_PAGE_BYTES);
    }
    if (pageBytes != bytesPerPage) {
      compressed = new byte[PageRunLayout.KEY_SIZE + bytesPerPage];
      difference = new byte[bytesPerPage];
      pageBytes = bytesPerPage;
    }
    head.clear();
    head.putInt(PageRunLayout.MAGIC).putInt(slotId).putInt(bytesPerPage);
    head.putShort((short) 0).putShort((short) PageRunLayout.VERSION);
    count = 0;
    length = 0;
    lastPage = -1;
  }

  /** {@return how many pages the run has} */
  public int count() {
    return count;
  }

  /** {@return whether it has as many pages as it can have} */
  public boolean isFull() {
    return count == MAX_PAGES;
  }

  /**
   * Adds a page.
   *
   * @param pageIndex its index, more than that of the page before
   * @param page its content
   * @param base what it may be stored as a difference to: of the same length; null if there is none
   * @param baseKey how the reader finds the base
   * @throws IllegalStateException if the run is full, or none was begun; nothing is added
   * @throws IllegalArgumentException if the index is not more than that before, or a length is not
   *     that of the run; nothing is added
   */
  public void add(long pageIndex, byte[] page, byte @Nullable [] base, long baseKey) {
    check(pageIndex, page, base);
    int encoding = PageRunLayout.ZERO;
    int size = 0;
    byte[] from = compressed;
    if (!isZero(page)) {
      encoding = PageRunLayout.DIFFERENCE;
      size = base == null ? Integer.MAX_VALUE : difference(page, base, baseKey);
      if (size > pageBytes / 2) {
        int plain = deflate(page, 0);
        if (base == null || plain <= size) {
          encoding = PageRunLayout.DEFLATED;
          size = plain;
        } else {
          size = difference(page, base, baseKey); // again, as its place was used
        }
      }
      if (size >= pageBytes) {
        encoding = PageRunLayout.RAW;
        size = pageBytes;
        from = page;
      }
    }
    if (content.length - length < size) {
      content = Arrays.copyOf(content, Math.max(length + size, 2 * content.length));
    }
    System.arraycopy(from, 0, content, length, size);
    crc.reset();
    crc.update(content, length, size);
    head.putLong(pageIndex).putInt(encoding << 24 | size).putInt((int) crc.getValue());
    length += size;
    lastPage = pageIndex;
    count++;
  }

  private void check(long pageIndex, byte[] page, byte @Nullable [] base) {
    if (pageBytes == 0 || count == MAX_PAGES) {
      throw new IllegalStateException(
          pageBytes == 0 ? "no run was begun" : "the run is full: " + MAX_PAGES + " pages");
    }
    if (pageIndex <= lastPage) {
      throw new IllegalArgumentException(
          "page " + pageIndex + " after page " + lastPage + ": pages come in ascending order");
    }
    if (page.length != pageBytes || (base != null && base.length != pageBytes)) {
      throw new IllegalArgumentException(
          "a page of "
              + page.length
              + " bytes"
              + (base == null ? "" : " and a base of " + base.length)
              + ": this run's have "
              + pageBytes);
    }
  }

  private static boolean isZero(byte[] page) {
    for (byte each : page) {
      if (each != 0) {
        return false;
      }
    }
    return true;
  }

  /** Returns the size of key and difference; more than a page: it does not pay. */
  private int difference(byte[] page, byte[] base, long baseKey) {
    for (int i = 0; i < pageBytes; i++) {
      difference[i] = (byte) (page[i] ^ base[i]);
    }
    ByteBuffer.wrap(compressed).putLong(baseKey);
    return deflate(difference, PageRunLayout.KEY_SIZE);
  }

  /** Returns where the compressed page ends; more than a page: it does not get smaller. */
  private int deflate(byte[] page, int at) {
    deflater.reset();
    deflater.setInput(page);
    deflater.finish();
    int size = deflater.deflate(compressed, at, compressed.length - at);
    return deflater.finished() ? at + size : pageBytes + 1;
  }

  /**
   * Ends the run.
   *
   * @return its bytes, valid until the next call of {@link #begin}: in two parts, which follow each
   *     other
   * @throws IllegalStateException if it has no pages
   */
  public ByteBuffer[] finish() {
    if (count == 0) {
      throw new IllegalStateException("a run without pages");
    }
    head.putShort(PageRunLayout.COUNT, (short) count);
    crc.reset();
    crc.update(head.array(), 0, head.position());
    head.putInt((int) crc.getValue());
    return new ByteBuffer[] {head.flip(), ByteBuffer.wrap(content, 0, length)};
  }

  @Override
  public void close() {
    deflater.end();
  }
}
