package dev.smudge.snapshot;

/**
 * The file of a {@link SnapshotStore}: a header, then groups of records, one group per saved state
 * and one per deletion. All numbers are big-endian.
 *
 * <pre>
 *   0           8          12          16
 *   | magic     | version  | crc32c    |
 *   | u64       | u32      | of the 12 |
 *
 *   record:
 *   0        4        8           12
 *   | type   | length | crc32c    | body ...  | crc32c of the body |
 *   | u32    | u32    | of the 8  | 'length' bytes
 *
 *   BEGIN    u64 state, u64 parent or -1, u64 milliseconds since 1970, u16 slots,
 *            slots * (u32 id, u64 pages, u32 bytes per page), name as UTF-8 to the end
 *   a run of pages, as in PageRunLayout, which is no record but has a magic and checksums of its own;
 *            the key of a base is where its run is in the file * 64 + which page of the run it is
 *   MACHINE  bytes of the MachineState; may come several times, one after the other
 *   END      u64 state, u64 where the group begins
 *
 *   DELETE   u64 state; a group of its own. Of a state that the file does not have, and whose number
 *            is larger than those before it: the number is used
 * </pre>
 *
 * <p>END is written when all before it is on the disk, so a group that has one is whole. A group
 * without one, at the end of the file, was being written when the process or the machine died.
 */
final class StoreLayout {
  /** "SMUDGES", and a byte that is no text. */
  static final long MAGIC = 0x534d_5544_4745_5380L;

  static final int VERSION = 1;
  static final int HEADER_SIZE = 16;
  static final int HEADER_CHECKED = 12;

  static final int RECORD_HEADER = 12;
  static final int RECORD_CHECKED = 8;
  static final int CRC_SIZE = 4;
  static final int MAX_BODY = 1 << 20;

  static final int BEGIN = 0x42454749; // "BEGI"
  static final int MACHINE = 0x4d414348; // "MACH"
  static final int END = 0x454e4420; // "END "
  static final int DELETE = 0x44454c45; // "DELE"

  static final int BEGIN_FIXED = 26; // up to the slots
  static final int SLOT_SIZE = 16;
  static final int END_SIZE = 16;
  static final int DELETE_SIZE = 8;

  static final int KEY_SHIFT = 6; // of the place of a run

  private StoreLayout() {}
}
