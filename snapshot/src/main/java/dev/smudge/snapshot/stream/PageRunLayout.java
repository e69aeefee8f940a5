package dev.smudge.snapshot.stream;

/**
 * A run of pages as bytes. All numbers are big-endian.
 *
 * <pre>
 *   0          4      8        12       14        16
 *   | magic    | slot | page   | pages  | version | page 0 | page 1 | ... | head   | content of    | ...
 *   | "SPGR"   | u32  | bytes  | u16    | u16     | entry  | entry  |     | crc32c | page 0        |
 *
 *   entry, 16 bytes:
 *   0            8          9        12
 *   | page index | encoding | length | crc32c      length: of the content, in bytes
 *   | u64        | u8       | u24    | of the content
 *
 *   content: ZERO        nothing
 *            RAW         the page
 *            DEFLATED    the page, as a raw deflate stream (RFC 1951)
 *            DIFFERENCE  u64 key of the base, then the page XOR the base, deflated
 * </pre>
 *
 * <p>The checksum of the head covers all before it, the checksums of the contents included: a run
 * whose head is right, and each of whose contents is right, is what was written.
 */
final class PageRunLayout {
  static final int MAGIC = 0x53504752; // "SPGR"
  static final int VERSION = 1;

  static final int SLOT = 4;
  static final int PAGE_BYTES = 8;
  static final int COUNT = 12;
  static final int VERSION_AT = 14;
  static final int ENTRIES = 16;

  static final int ENTRY_SIZE = 16;
  static final int ENTRY_ENCODING = 8; // with the length
  static final int ENTRY_CRC = 12;

  static final int CRC_SIZE = 4;
  static final int KEY_SIZE = 8;

  static final int ZERO = 0;
  static final int RAW = 1;
  static final int DEFLATED = 2;
  static final int DIFFERENCE = 3;

  private PageRunLayout() {}

  static int headSize(int pages) {
    return ENTRIES + pages * ENTRY_SIZE + CRC_SIZE;
  }
}
