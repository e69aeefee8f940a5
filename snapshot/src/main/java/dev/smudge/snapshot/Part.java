package dev.smudge.snapshot;

import dev.smudge.bitmap.PageSet;
import org.jspecify.annotations.Nullable;

/**
 * A slot of the guest's as its saver or restorer sees it: what its pages are to be, and which of
 * them may be something else in RAM.
 *
 * @param <S> what the client calls a slot
 */
final class Part<S> {
  /** Null: not RAM, but the bytes of the {@link MachineState}. */
  final @Nullable S slot;

  final int index;
  final int pageBytes;
  final long pageSize;

  /** What is saved of them, or what they are restored to. */
  final PageTable table;

  /** Pages whose RAM may differ from the table, as far as the client has told. */
  final PageSet pending;

  /** A page of zeroes. */
  final byte[] zero;

  private byte @Nullable [] spare;

  Part(@Nullable S slot, int index, long pageCount, long pageSize, int pageBytes, PageTable table) {
    this.slot = slot;
    this.index = index;
    this.pageBytes = pageBytes;
    this.pageSize = pageSize;
    this.table = table;
    this.pending = new PageSet(pageCount);
    this.zero = new byte[pageBytes];
  }

  /** {@return what a page is to be; not to be changed} */
  byte[] page(long page) {
    byte[] content = table.get(page);
    return content == null ? zero : content;
  }

  /** {@return an array for the next content of a page, which {@link #replace} puts in} */
  byte[] spare() {
    byte[] page = spare;
    if (page == null) {
      page = new byte[pageBytes];
      spare = page;
    }
    return page;
  }

  /** A page becomes the spare one, whose place its former array takes. Calls nothing. */
  void replace(byte[][] block, int index) {
    byte[] fresh = spare;
    spare = block[index];
    block[index] = fresh;
  }
}
