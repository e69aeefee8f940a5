package dev.smudge.migration;

/**
 * A slot of the guest that a destination is to receive: it has to make such a slot before that.
 *
 * @param id the slot's number
 * @param pageCount its pages
 * @param pageBytes bytes per page, as the source's port reads them
 */
public record SlotShape(int id, long pageCount, int pageBytes) {
  /** {@return the bytes of the slot} */
  public long size() {
    return pageCount * pageBytes;
  }

  // By hand: what the JDK links for a record at the first call is of no use ever after, where the
  // stack ends in that.

  @Override
  public boolean equals(Object other) {
    return other instanceof SlotShape that
        && id == that.id
        && pageCount == that.pageCount
        && pageBytes == that.pageBytes;
  }

  @Override
  public int hashCode() {
    return 31 * (31 * id + Long.hashCode(pageCount)) + pageBytes;
  }
}
