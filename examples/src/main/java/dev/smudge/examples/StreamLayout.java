package dev.smudge.examples;

/**
 * The migration stream, in both directions: a preamble, then frames. All numbers are big-endian.
 *
 * <pre>
 *           0              8          12         16
 * preamble  | magic u64    | version  | crc32c   |        crc32c: of the 12 bytes before
 *
 *           0       4        8            16       20            20+length
 * frame     | type  | length | sequence   | crc32c | body ...    | crc32c |
 *                                           of the                 of the body
 *                                           16 bytes before
 *
 * HELLO         kind string, config bytes, slots: u32 n, n * (u32 id, u64 address, u64 size, u64 page size)
 * ROUND         u32 number
 * DATA          u32 slot, u64 byte offset, content to the end of the body
 * ZERO          u32 slot, u64 byte offset, u64 bytes
 * STATE         a piece of the guest's state
 * END           u64 bytes of state, lines printed: u32 n, n * u64, digest bytes[32]
 * COMPARE       as DATA: not to be written but to be compared
 * COMPARE_ZERO  as ZERO, likewise
 * COMPARE_END   -
 * COMMIT        -
 * ABORT         reason string
 *
 * ACCEPTED      -
 * READY         digest bytes[32]
 * COMPARED      u64 pages compared, u64 pages that differ, u32 n, n * u64 guest address of a first difference
 * RUNNING       -
 * PROGRESS      u64 lines printed
 * REPORT        u32 verified, text string
 * REFUSED       reason string
 *
 * string, bytes: u32 length, then UTF-8 or bytes
 * </pre>
 *
 * <p>Sequence numbers count from 0. The digest is SHA-256 over the preamble, and over the header
 * and the checksum of each frame before END: it finds what a checksum a frame cannot, a frame that
 * is missing, twice, or of another stream.
 *
 * <p>Order: HELLO, ACCEPTED, then ROUND, DATA, ZERO in any number, STATE, END, READY, then COMPARE
 * and COMPARE_ZERO in any number, COMPARE_END, COMPARED, COMMIT, RUNNING, PROGRESS in any number,
 * REPORT. REFUSED or ABORT may come instead of any up to COMMIT, and are the last.
 */
final class StreamLayout {
  /** "SMUDGE", and a line end that a text conversion would spoil. */
  static final long MAGIC = 0x534d_5544_4745_0d0aL;

  static final int VERSION = 1;

  static final int PREAMBLE_SIZE = 16;
  static final int PREAMBLE_CHECKED = 12;

  static final int HEADER_SIZE = 20;
  static final int HEADER_CHECKED = 16;
  static final int CHECKSUM_SIZE = 4;

  static final int MAX_CONTENT = 256 << 10;
  static final int MAX_BODY = MAX_CONTENT + 12;

  static final int DIGEST_SIZE = 32;

  private StreamLayout() {}
}
