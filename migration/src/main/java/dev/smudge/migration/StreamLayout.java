package dev.smudge.migration;

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
 * HELLO     u64 u64 migration, u32 stream, u32 streams; then, in stream 0 only,
 *           u32 checked, u32 n, n * (u32 slot, u64 pages, u32 page bytes), greeting bytes
 * ROUND     u32 number
 * PAGES     u32 slot, u64 first page, u32 pages, u32 code (0: as they are, 1: deflated), content
 * ZERO      u32 slot, u64 first page, u64 pages
 * STATE     a piece of the machine's state
 * END       u64 bytes of state, digest[32]
 * COMMIT    -
 * ABORT     reason
 *
 * ACCEPTED  -
 * READY     digest[32]: of the digests of all streams, in their order
 * RUNNING   -
 * REFUSED   reason
 *
 * MESSAGE   bytes of the embedder's
 * </pre>
 *
 * <p>Sequence numbers count from 0, in each stream and direction. A stream's digest is SHA-256 over
 * the preamble, and over the header and the checksum of each frame before END: it finds what a
 * checksum per frame cannot, a frame that is missing, twice, or of another stream.
 *
 * <p>Order in stream 0: HELLO, ACCEPTED, then ROUND, PAGES, ZERO in any number, STATE, END, READY,
 * messages if HELLO says so, COMMIT, RUNNING, messages. In the others: HELLO, then PAGES and ZERO,
 * END; nothing comes back. REFUSED or ABORT may come in stream 0 instead of any up to RUNNING, and
 * are the last.
 */
final class StreamLayout {
  /** "SMUDGE", and a line end that a text conversion would spoil. */
  static final long MAGIC = 0x534d_5544_4745_0d0aL;

  static final int VERSION = 2;

  static final int PREAMBLE_SIZE = 16;
  static final int PREAMBLE_CHECKED = 12;

  static final int HEADER_SIZE = 20;
  static final int HEADER_CHECKED = 16;
  static final int CHECKSUM_SIZE = 4;

  /** Content of a frame, but where one page has more. */
  static final int MAX_CONTENT = 256 << 10;

  static final int MAX_PAGE = 16 << 20;
  static final int MAX_BODY = MAX_PAGE + 64;

  static final int MAX_SENT_SLOTS = 8192;
  static final int MAX_GREETING = 64 << 10;
  static final int MAX_STREAMS = 64;
  static final int MAX_STATE = 1 << 30;

  static final int RAW = 0;
  static final int DEFLATED = 1;

  private StreamLayout() {}
}
