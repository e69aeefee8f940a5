package dev.smudge.snapshot;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/**
 * Deltas of states in a fixed number of bytes, used round and round: the newest is added and
 * dropped at one end, the oldest dropped at the other.
 *
 * <pre>
 *   delta   i64 begin of the delta before | i64 end | i64 number of the state it leads to
 *           | i32 records | i32 unused | records
 *   record  i32 bytes of the code | i32 part | i64 page | code of {@link XorCode}
 * </pre>
 *
 * <p>Positions count bytes from the first one ever written, and do not go back to 0 at the end of
 * the array; {@link #offset} does. A header or a record is never split by that end: it begins anew
 * behind it, and where a record might be expected, {@link #SKIP} stands before the end if there is
 * room for it.
 *
 * <p>One delta may be open: it is written behind the newest, and is not there before it is added.
 * The fields are changed by {@link History} too, in steps that belong together and call nothing in
 * between: whatever is thrown, the ring is as before such a step or as after it.
 */
final class DeltaRing {
  static final int HEADER = 32;
  static final int RECORD = 16;
  private static final int SKIP = -1;
  private static final VarHandle LONG =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle INT =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);

  final byte[] bytes;

  /** Begin of the oldest delta, if there is one. */
  long head;

  /** Begin of the newest, if there is one. */
  long newest;

  /** End of the newest. */
  long tail;

  int count;

  /** Begin of the open delta, its end so far, and its records. */
  long openBegin;

  long openEnd;
  int openRecords;

  DeltaRing(int capacity) {
    this.bytes = new byte[capacity & ~7];
  }

  int offset(long at) {
    return (int) (at % bytes.length);
  }

  /** {@return where so many bytes have room in one piece, from a position on} */
  private long place(long at, int size) {
    int left = bytes.length - offset(at);
    return left >= size ? at : at + left;
  }

  private long free(long end) {
    return bytes.length - (end - (count == 0 ? openBegin : head));
  }

  /** Opens a delta; returns whether there is room for its header. */
  boolean open() {
    openBegin = place(tail, HEADER);
    openEnd = openBegin + HEADER;
    openRecords = 0;
    return free(openEnd) >= 0;
  }

  /** {@return where a record with so long a code has room in the open delta; -1 if nowhere} */
  long room(int codeBytes) {
    int size = RECORD + codeBytes;
    long at = place(openEnd, size);
    if (free(at + size) < 0) {
      return -1;
    }
    if (at != openEnd && bytes.length - offset(openEnd) >= RECORD) {
      INT.set(bytes, offset(openEnd), SKIP);
    }
    return at;
  }

  /** Writes the header of a record whose code is there; {@link #openEnd} is set by the caller. */
  void writeRecord(long at, int codeBytes, int part, long page) {
    int offset = offset(at);
    INT.set(bytes, offset, codeBytes);
    INT.set(bytes, offset + 4, part);
    LONG.set(bytes, offset + 8, page);
  }

  /** Writes the header of the open delta; the caller sets {@link #tail} and the rest. */
  void writeHeader(long state) {
    int offset = offset(openBegin);
    LONG.set(bytes, offset, newest);
    LONG.set(bytes, offset + 8, openEnd);
    LONG.set(bytes, offset + 16, state);
    INT.set(bytes, offset + 24, openRecords);
  }

  long before(long delta) {
    return (long) LONG.get(bytes, offset(delta));
  }

  long end(long delta) {
    return (long) LONG.get(bytes, offset(delta) + 8);
  }

  long state(long delta) {
    return (long) LONG.get(bytes, offset(delta) + 16);
  }

  int records(long delta) {
    return (int) INT.get(bytes, offset(delta) + 24);
  }

  /** {@return the delta after one that is not the newest} */
  long after(long delta) {
    return place(end(delta), HEADER);
  }

  /** {@return where the record really is that comes next at a position} */
  long record(long at) {
    int left = bytes.length - offset(at);
    return left < RECORD || (int) INT.get(bytes, offset(at)) == SKIP ? at + left : at;
  }

  int codeBytes(long record) {
    return (int) INT.get(bytes, offset(record));
  }

  int part(long record) {
    return (int) INT.get(bytes, offset(record) + 4);
  }

  long page(long record) {
    return (long) LONG.get(bytes, offset(record) + 8);
  }
}
