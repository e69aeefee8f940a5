package dev.smudge.migration;

/**
 * A slot of the guest that comes: what a destination has to make before it can receive it.
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
