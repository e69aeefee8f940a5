package dev.smudge.core;

import dev.smudge.core.internal.map.SlotMap;

/**
 * An access to guest memory that is refused: it is not entirely in slots, or is misaligned for an
 * atomic. Nothing was read or written.
 */
public final class GuestAccessException extends IndexOutOfBoundsException {
  private static final long serialVersionUID = 1L;

  /** Guest address. */
  private final long address;

  /** Bytes. */
  private final long length;

  /** No slot of a map serves it. */
  static GuestAccessException notFound(SlotMap map, long address, long length) {
    return new GuestAccessException(address, length, map.whyNot(address));
  }

  GuestAccessException(long address, long length, String why) {
    super(
        "guest address 0x"
            + Long.toHexString(address)
            + ", "
            + length
            + (length == 1 ? " byte" : " bytes")
            + ": "
            + why);
    this.address = address;
    this.length = length;
  }

  /** {@return the guest address of the access} */
  public long address() {
    return address;
  }

  /** {@return the length of the access in bytes} */
  public long length() {
    return length;
  }
}
