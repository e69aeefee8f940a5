package dev.smudge.sync.verify;

/**
 * The verify mode has found a page that changed and that no mark or tracker has reported. The page
 * is dirty for every client from then on, so the run can go on. Further pages that the same take
 * has found are among the suppressed exceptions.
 */
public final class UnreportedWriteException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** Number of the slot. */
  private final int slotId;

  /** The page. */
  private final long pageIndex;

  /** Offset in the slot of the first byte that differs; of its page, if that is not known. */
  private final long byteOffset;

  /**
   * Makes one.
   *
   * @param message the message
   * @param slotId number of the slot
   * @param pageIndex the page
   * @param byteOffset offset in the slot of the first byte that differs, or of the page
   */
  public UnreportedWriteException(String message, int slotId, long pageIndex, long byteOffset) {
    super(message);
    this.slotId = slotId;
    this.pageIndex = pageIndex;
    this.byteOffset = byteOffset;
  }

  /** {@return the number of the slot} */
  public int slotId() {
    return slotId;
  }

  /** {@return the page} */
  public long pageIndex() {
    return pageIndex;
  }

  /**
   * {@return the offset in the slot, in bytes or units, of the first byte that differs; of the
   * first byte of the page if an oracle has found the write, which does not know the byte}
   */
  public long byteOffset() {
    return byteOffset;
  }
}
