package dev.smudge.sync.pages;

import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.LogSlot;

/**
 * Reads and writes whole pages of guest RAM, for code that saves and restores pages without knowing
 * where the RAM is. {@code GuestMemory.pages()} is one; an emulator that keeps its own RAM
 * implements {@link OwnRam}, which has two methods.
 *
 * <p>Threads: those of the caller, one at a time. It is called while the guest stands still, and
 * must not call the log.
 *
 * @param <S> the client's type of slots: {@link LogSlot}, or {@code GuestSlot}
 */
public interface PagePort<S> {
  /**
   * {@return the slot's number}
   *
   * @param slot slot
   */
  int slotId(S slot);

  /**
   * {@return how many pages the slot has, as the log counts them}
   *
   * @param slot slot
   */
  long pageCount(S slot);

  /**
   * {@return the size of a page in the slot's own units, in which marks are made: that of the log's
   * slot, which decides what page a mark is for}
   *
   * @param slot slot
   */
  long pageSize(S slot);

  /**
   * Returns how many bytes {@link #read} and {@link #write} transfer per page: a multiple of 8, the
   * same for all pages of the slot. The user of the port refuses any other number with an {@link
   * IllegalArgumentException}. By default it is the page size, which is right if the slot's units
   * are bytes, or cells of which one byte is used.
   *
   * @param slot slot
   * @return the bytes
   */
  default int pageBytes(S slot) {
    return Math.toIntExact(pageSize(slot));
  }

  /**
   * Reads a page.
   *
   * @param slot slot
   * @param pageIndex page
   * @param page gets the whole content; leave bytes beyond the end of RAM zero
   */
  void read(S slot, long pageIndex, byte[] page);

  /**
   * Finds the next page that may have been touched, so that a save or a restore need not read pages
   * that were never touched and are all zero. Called while nobody writes the slot.
   *
   * @param slot slot
   * @param pageIndex where to look first
   * @return the first page from there on that may be non-zero, or the number of the slot's pages;
   *     {@code pageIndex} itself if this is not known
   */
  default long nextTouchedPage(S slot, long pageIndex) {
    return pageIndex;
  }

  /**
   * Writes a page. The caller marks it.
   *
   * @param slot slot
   * @param pageIndex page
   * @param page the whole content; ignore bytes beyond the end of RAM
   */
  void write(S slot, long pageIndex, byte[] page);

  /** For an embedder that keeps its own RAM, in slots of a {@link DirtyLog}. */
  interface OwnRam extends PagePort<LogSlot> {
    @Override
    default int slotId(LogSlot slot) {
      return slot.id();
    }

    @Override
    default long pageCount(LogSlot slot) {
      return slot.pageCount();
    }

    @Override
    default long pageSize(LogSlot slot) {
      return slot.pageSize();
    }
  }
}
