package dev.smudge.snapshot.stream;

import java.nio.ByteBuffer;
import java.util.zip.CRC32C;

/**
 * The head of a run of pages: which pages it has, and where their contents are. Source: {@link
 * PageRunLayout}.
 *
 * <p>Threads: immutable.
 */
public final class PageRun {
  /** Bytes at the beginning of a run that say how long its head is. */
  public static final int PREFIX = PageRunLayout.ENTRIES;

  private final ByteBuffer head;
  private final int count;
  private final int pageBytes;
  private final int[] offsets; // of the contents, in the run; the last is its length

  private PageRun(ByteBuffer head, int count, int pageBytes, int[] offsets) {
    this.head = head;
    this.count = count;
    this.pageBytes = pageBytes;
    this.offsets = offsets;
  }

  /**
   * Returns how many bytes the head of a run has.
   *
   * @param prefix its first {@link #PREFIX} bytes
   * @return bytes, with the prefix
   * @throws PageDamageException if no run begins like this
   */
  public static int headSize(ByteBuffer prefix) throws PageDamageException {
    int at = prefix.position();
    if (prefix.remaining() < PREFIX || prefix.getInt(at) != PageRunLayout.MAGIC) {
      throw new PageDamageException("no run of pages begins here");
    }
    int version = prefix.getShort(at + PageRunLayout.VERSION_AT) & 0xffff;
    int pages = prefix.getShort(at + PageRunLayout.COUNT) & 0xffff;
    if (version != PageRunLayout.VERSION) {
      throw new PageDamageException(
          "a run of version " + version + "; only " + PageRunLayout.VERSION + " is understood");
    }
    if (pages < 1 || pages > PageRunEncoder.MAX_PAGES) {
      throw new PageDamageException(
          "a run of " + pages + " pages: from 1 to " + PageRunEncoder.MAX_PAGES);
    }
    return PageRunLayout.headSize(pages);
  }

  /**
   * Reads the head of a run.
   *
   * @param bytes the head, from the buffer's position on; that is not moved. Its content is copied
   * @return the run
   * @throws PageDamageException if it is damaged
   */
  public static PageRun parse(ByteBuffer bytes) throws PageDamageException {
    int size = headSize(bytes);
    if (bytes.remaining() < size) {
      throw new PageDamageException(
          "the head of a run ends after " + bytes.remaining() + " of " + size + " bytes");
    }
    ByteBuffer head = ByteBuffer.allocate(size).put(bytes.slice(bytes.position(), size)).flip();
    CRC32C crc = new CRC32C();
    crc.update(head.slice(0, size - PageRunLayout.CRC_SIZE));
    if ((int) crc.getValue() != head.getInt(size - PageRunLayout.CRC_SIZE)) {
      throw new PageDamageException("the head of a run is damaged: its checksum is wrong");
    }
    int count = head.getShort(PageRunLayout.COUNT);
    int pageBytes = head.getInt(PageRunLayout.PAGE_BYTES);
    if (pageBytes < 1 || pageBytes > PageRunEncoder.MAX_PAGE_BYTES) {
      throw new PageDamageException(
          "a run of pages of " + pageBytes + " bytes: from 1 to " + PageRunEncoder.MAX_PAGE_BYTES);
    }
    int[] offsets = new int[count + 1];
    offsets[0] = size;
    long last = -1;
    for (int i = 0; i < count; i++) {
      int length = word(head, i) & 0xff_ffff;
      long page = head.getLong(entry(i));
      if (page <= last || length > pageBytes) {
        throw new PageDamageException(
            "page "
                + page
                + " after page "
                + last
                + ", with "
                + length
                + " bytes of "
                + pageBytes
                + ": pages are in ascending order, and none is longer than it was");
      }
      offsets[i + 1] = offsets[i] + length;
      last = page;
    }
    return new PageRun(head, count, pageBytes, offsets);
  }

  private static int word(ByteBuffer head, int index) {
    return head.getInt(entry(index) + PageRunLayout.ENTRY_ENCODING);
  }

  private static int entry(int index) {
    return PageRunLayout.ENTRIES + index * PageRunLayout.ENTRY_SIZE;
  }

  /** {@return number of the slot} */
  public int slotId() {
    return head.getInt(PageRunLayout.SLOT);
  }

  /** {@return bytes of each page} */
  public int pageBytes() {
    return pageBytes;
  }

  /** {@return how many pages it has} */
  public int count() {
    return count;
  }

  /**
   * {@return the index, in its slot, of a page}
   *
   * @param index which of the run's pages, from 0
   * @throws IndexOutOfBoundsException if the run has no such page
   */
  public long page(int index) {
    return head.getLong(entry(checked(index)));
  }

  /**
   * {@return where the content of a page begins, in bytes from the beginning of the run}
   *
   * @param index which of the run's pages, from 0; the number of pages: where the run ends
   */
  public int offset(int index) {
    return offsets[index];
  }

  /**
   * {@return whether a page is stored as a difference}
   *
   * @param index which of the run's pages, from 0
   * @throws IndexOutOfBoundsException if the run has no such page
   */
  public boolean isDifference(int index) {
    return encoding(index) == PageRunLayout.DIFFERENCE;
  }

  private int checked(int index) {
    if (index < 0 || index >= count) {
      throw new IndexOutOfBoundsException("page " + index + " of a run of " + count + " pages");
    }
    return index;
  }

  /** {@return how a page is stored: see {@link PageRunLayout}} */
  int encoding(int index) {
    return word(head, checked(index)) >>> 24;
  }

  /** {@return the checksum of a page's content} */
  int checksum(int index) {
    return head.getInt(entry(checked(index)) + PageRunLayout.ENTRY_CRC);
  }
}
