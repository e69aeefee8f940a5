package dev.smudge.sync;

/**
 * How whole pages of guest RAM are read and written by whoever saves and restores them, and knows
 * neither where that RAM is nor what it is made of. {@code GuestMemory.pages()} is one; an emulator
 * that keeps its own RAM implements {@link OwnRam}, which has two methods.
 *
 * <p>Threads: those of the caller, one at a time. It is called where the guest stands still, and
 * calls nothing of the log.
 *
 * @param <S> what the client calls a slot: {@link LogSlot}, or {@code GuestSlot}
 */
public interface PagePort<S> {
  /**
   * {@return the slot's number}
   *
   * @param slot slot
   */
  int slotId(S slot);

  /**
   * {@return how many pages the slot has}
   *
   * @param slot slot
   */
  long pageCount(S slot);

  /**
   * {@return the size of a page in the slot's own units, in which marks are made}
   *
   * @param slot slot
   */
  long pageSize(S slot);

  /**
   * Returns how many bytes a page has as it is read and written: a multiple of 8, the same for all
   * pages of the slot. It is the page size where the slot's units are bytes, or cells of which one
   * byte is used.
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
   * @param page gets the content, all of it; what the page has beyond the end of RAM is left zero
   */
  void read(S slot, long pageIndex, byte[] page);

  /**
   * Tells pages that nobody has ever touched, which are all zero, from others, so that a save or a
   * restore need not read them. Called while nobody writes the slot.
   *
   * @param slot slot
   * @param pageIndex where to look first
   * @return the first page from there on that may be other than zero, or the number of the slot's
   *     pages; {@code pageIndex} itself where that is not known
   */
  default long nextTouchedPage(S slot, long pageIndex) {
    return pageIndex;
  }

  /**
   * Writes a page. It is marked by the caller, for whom it has to be.
   *
   * @param slot slot
   * @param pageIndex page
   * @param page the content, all of it; what the page has beyond the end of RAM is to be ignored
   */
  void write(S slot, long pageIndex, byte[] page);

  /** RAM of the embedder's own, in slots of a {@link DirtyLog}. */
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
