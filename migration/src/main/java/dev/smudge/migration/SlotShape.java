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
}
