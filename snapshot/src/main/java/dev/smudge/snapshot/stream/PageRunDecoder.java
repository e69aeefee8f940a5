package dev.smudge.snapshot.stream;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.zip.CRC32C;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/**
 * Reads pages of runs, any number of them, one after the other. Allocates nothing per page. Source:
 * {@link PageRunLayout}.
 *
 * <p>Threads: for one at a time. Close it: the decompressor has memory outside the heap.
 */
public final class PageRunDecoder implements AutoCloseable {
  /** Where the bases of differences come from. */
  public interface Bases {
    /**
     * Finds a base. It may read that by this decoder.
     *
     * @param key the key, as given to {@link PageRunEncoder#add}
     * @return the base; not changed
     * @throws IOException if there is none
     */
    byte[] base(long key) throws IOException;
  }

  private final Inflater inflater = new Inflater(true);
  private final CRC32C crc = new CRC32C();

  /** Makes one. */
  public PageRunDecoder() {}

  /**
   * Reads a page.
   *
   * @param run the run that has it
   * @param index which of the run's pages, from 0
   * @param content its content, {@code offset(index + 1) - offset(index)} bytes at the buffer's
   *     position, which stays as it is
   * @param into gets the page; as long as the run's pages are
   * @param bases finds the base of a difference
   * @throws PageDamageException if the content is damaged
   * @throws IOException if there is no base
   * @throws IllegalArgumentException if {@code into} has another length than the run's pages, or
   *     {@code content} is too short; nothing is read
   * @throws IndexOutOfBoundsException if the run has no such page
   */
  public void read(PageRun run, int index, ByteBuffer content, byte[] into, Bases bases)
      throws IOException {
    int encoding = run.encoding(index);
    int length = run.offset(index + 1) - run.offset(index);
    if (into.length != run.pageBytes() || content.remaining() < length) {
      throw new IllegalArgumentException(
          "an array of "
              + into.length
              + " bytes for a page of "
              + run.pageBytes()
              + ", with "
              + content.remaining()
              + " bytes of content, of "
              + length);
    }
    int begin = content.position();
    int limit = content.limit();
    content.limit(begin + length);
    try {
      crc.reset();
      crc.update(content);
      if ((int) crc.getValue() != run.checksum(index)) {
        throw damaged(run, index, "its checksum is wrong");
      }
      content.position(begin);
      read(run, index, encoding, content, into, bases);
    } finally {
      content.limit(limit).position(begin);
    }
  }

  private void read(
      PageRun run, int index, int encoding, ByteBuffer content, byte[] into, Bases bases)
      throws IOException {
    int length = content.remaining();
    switch (encoding) {
      case PageRunLayout.ZERO -> Arrays.fill(into, (byte) 0);
      case PageRunLayout.RAW -> {
        if (length != into.length) {
          throw damaged(run, index, "it has " + length + " bytes of " + into.length);
        }
        content.get(into);
      }
      case PageRunLayout.DEFLATED -> inflate(run, index, content, into);
      case PageRunLayout.DIFFERENCE -> {
        if (length < PageRunLayout.KEY_SIZE) {
          throw damaged(run, index, "it has no base");
        }
        byte[] base = bases.base(content.getLong());
        if (base.length != into.length) {
          throw damaged(run, index, "its base has " + base.length + " bytes of " + into.length);
        }
        inflate(run, index, content, into);
        for (int i = 0; i < into.length; i++) {
          into[i] ^= base[i];
        }
      }
      default -> throw damaged(run, index, "its encoding is " + encoding);
    }
  }

  private void inflate(PageRun run, int index, ByteBuffer from, byte[] into)
      throws PageDamageException {
    inflater.reset();
    inflater.setInput(from);
    try {
      int size = 0;
      while (size < into.length) {
        int some = inflater.inflate(into, size, into.length - size);
        if (some == 0) {
          throw damaged(run, index, "it has " + size + " bytes of " + into.length);
        }
        size += some;
      }
    } catch (DataFormatException e) {
      throw damaged(run, index, "it cannot be decompressed: " + e.getMessage());
    }
  }

  private static PageDamageException damaged(PageRun run, int index, String what) {
    return new PageDamageException(
        "page " + run.page(index) + " of slot " + run.slotId() + " is damaged: " + what);
  }

  @Override
  public void close() {
    inflater.end();
  }
}
