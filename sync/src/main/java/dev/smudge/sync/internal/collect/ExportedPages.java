package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.ArmableBitmap;
import dev.smudge.bitmap.PageSet;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.StreamCorruptedException;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32C;
import java.util.zip.CheckedInputStream;
import java.util.zip.CheckedOutputStream;
import org.jspecify.annotations.Nullable;

/**
 * The dirty pages of a client as bytes, and back:
 *
 * <pre>
 *   magic       4 bytes
 *   version     4
 *   slots       4, how many; then for each its id, 4, its pages, 8, and its page size, 8
 *   checksum    4, CRC32C of what is above
 *   runs        for each slot: how many; for each its distance from the end of the run before it,
 *               and its pages. All of them 7 bits to the byte, lowest first
 *   checksum    4, CRC32C of all that is above
 * </pre>
 *
 * Big-endian. The first checksum lets the reader trust the geometry, and reserve no memory for
 * slots that nobody has.
 */
public final class ExportedPages {
  private static final int MAGIC = 0x534d4450; // SMDP
  private static final int VERSION = 1;
  private static final String DAMAGED = "the exported dirty pages are damaged: ";

  /** Of one slot. */
  private record Part(int id, long pageSize, PageSet pages) {
    @Override
    public String toString() {
      return describe(id, pages.pageCount(), pageSize);
    }
  }

  private final List<Part> parts;

  private ExportedPages(List<Part> parts) {
    this.parts = parts;
  }

  /** Writes pages out; of all slots that are there, also those without pages. */
  public static void write(TakenPages pages, OutputStream to) throws IOException {
    CRC32C sum = new CRC32C();
    DataOutputStream out = new DataOutputStream(new CheckedOutputStream(to, sum));
    List<TakenPages.Held> slots = new ArrayList<>();
    pages.slots().forEach(slots::add);
    out.writeInt(MAGIC);
    out.writeInt(VERSION);
    out.writeInt(slots.size());
    for (TakenPages.Held held : slots) {
      out.writeInt(held.slot.id());
      out.writeLong(held.slot.pageCount());
      out.writeLong(1L << held.slot.pageShift());
    }
    out.writeInt((int) sum.getValue());
    for (TakenPages.Held held : slots) {
      writeRuns(held.pages, out);
    }
    out.writeInt((int) sum.getValue());
    out.flush();
  }

  private static void writeRuns(PageSet set, DataOutputStream out) throws IOException {
    long[] runs = new long[1];
    set.forEachRun((first, count) -> runs[0]++);
    writeNumber(runs[0], out);
    long end = set.pageCount();
    long past = 0;
    for (long first = set.nextPage(0); first >= 0; first = set.nextPage(past)) {
      writeNumber(first - past, out);
      past = set.endOfRun(first, end);
      writeNumber(past - first, out);
    }
  }

  private static void writeNumber(long number, DataOutputStream out) throws IOException {
    long rest = number;
    for (; rest >>> 7 != 0; rest >>>= 7) {
      out.write((int) rest | 0x80);
    }
    out.write((int) rest);
  }

  private static String describe(int id, long pageCount, long pageSize) {
    return "slot " + id + " of " + pageCount + " pages of " + pageSize;
  }

  /**
   * Reads what {@link #write} has written, and nothing beyond it. The slots have to be there before
   * memory is reserved for their pages: whoever forges a checksum may name slots of any size.
   */
  public static ExportedPages read(InputStream from, Slot[] there) throws IOException {
    CRC32C sum = new CRC32C();
    DataInputStream in = new DataInputStream(new CheckedInputStream(from, sum));
    List<Part> parts = new ArrayList<>();
    try {
      int slots = readHeader(in);
      int[] ids = new int[slots];
      long[] pageCounts = new long[slots];
      long[] pageSizes = new long[slots];
      for (int i = 0; i < slots; i++) {
        ids[i] = in.readInt();
        pageCounts[i] = in.readLong();
        pageSizes[i] = in.readLong();
      }
      checkSum(sum, in, "the list of slots");
      for (int i = 0; i < slots; i++) {
        checkIsOf(there, ids[i], pageCounts[i], pageSizes[i]);
      }
      for (int i = 0; i < slots; i++) {
        Part part = newPart(ids[i], pageCounts[i], pageSizes[i], parts);
        readRuns(part, in);
        parts.add(part);
      }
      checkSum(sum, in, "the pages");
    } catch (EOFException e) {
      EOFException early =
          new EOFException(
              parts.isEmpty()
                  ? "the exported dirty pages end too early, in the list of slots or their first"
                  : "the exported dirty pages end too early, after those of " + last(parts));
      early.initCause(e);
      throw early;
    }
    return new ExportedPages(parts);
  }

  private static boolean isIn(List<Part> parts, int id) {
    for (Part part : parts) {
      if (part.id == id) {
        return true;
      }
    }
    return false;
  }

  private static Part newPart(int id, long pageCount, long pageSize, List<Part> before)
      throws IOException {
    if (pageCount < 1 || pageCount > ArmableBitmap.MAX_PAGES || isIn(before, id)) {
      throw new StreamCorruptedException(
          DAMAGED
              + "slot "
              + id
              + " of "
              + pageCount
              + " pages comes twice, or does not have 1 to "
              + ArmableBitmap.MAX_PAGES
              + " pages");
    }
    return new Part(id, pageSize, new PageSet(pageCount));
  }

  private static Part last(List<Part> parts) {
    return parts.get(parts.size() - 1);
  }

  private static int readHeader(DataInputStream in) throws IOException {
    int magic = in.readInt();
    if (magic != MAGIC) {
      throw new StreamCorruptedException(
          "these are no exported dirty pages: they begin with 0x"
              + Integer.toHexString(magic)
              + ", not with 0x"
              + Integer.toHexString(MAGIC));
    }
    int version = in.readInt();
    if (version != VERSION) {
      throw new StreamCorruptedException(
          "the exported dirty pages have version " + version + "; " + VERSION + " is known");
    }
    int slots = in.readInt();
    if (slots < 0 || slots > SlotLimits.MAX_SLOTS) {
      throw new StreamCorruptedException(
          DAMAGED + slots + " slots; there are 0 to " + SlotLimits.MAX_SLOTS);
    }
    return slots;
  }

  private static void checkSum(CRC32C sum, DataInputStream in, String what) throws IOException {
    int expected = (int) sum.getValue();
    if (in.readInt() != expected) {
      throw new StreamCorruptedException(DAMAGED + what + " do not match their checksum");
    }
  }

  private static void readRuns(Part part, DataInputStream in) throws IOException {
    long most = part.pages.pageCount();
    long past = 0;
    for (long left = readNumber(part, in); left > 0; left--) {
      long gap = readNumber(part, in);
      long count = readNumber(part, in);
      if (gap > most - past || count < 1 || count > most - past - gap) {
        throw new StreamCorruptedException(
            DAMAGED
                + "a run of "
                + count
                + " pages, "
                + gap
                + " after page "
                + past
                + ", is not inside "
                + part);
      }
      part.pages.addRange(past + gap, count);
      past += gap + count;
    }
  }

  private static long readNumber(Part part, DataInputStream in) throws IOException {
    long number = 0;
    for (int shift = 0; shift < 63; shift += 7) {
      int next = in.readUnsignedByte();
      number |= (next & 0x7fL) << shift;
      if (next < 0x80) {
        return number;
      }
    }
    throw new StreamCorruptedException(DAMAGED + "a number of " + part + " has too many bytes");
  }

  /** Refuses slots that are not those of the export; there may be more of them. */
  void checkAreOf(Slot[] slots) {
    for (Part part : parts) {
      checkIsOf(slots, part.id, part.pages.pageCount(), part.pageSize);
    }
  }

  private static void checkIsOf(Slot[] slots, int id, long pageCount, long pageSize) {
    @Nullable Slot now = null;
    for (Slot slot : slots) {
      if (slot.id() == id) {
        now = slot;
      }
    }
    if (now == null || pageCount != now.pageCount() || pageSize != 1L << now.pageShift()) {
      throw new IllegalArgumentException(
          "the exported dirty pages have "
              + describe(id, pageCount, pageSize)
              + ", the log has "
              + (now == null ? "no slot " + id : now.toString()));
    }
  }

  /** The pages of a slot; null if it was not there. */
  @Nullable PageSet of(Slot slot) {
    for (Part part : parts) {
      if (part.id == slot.id()) {
        return part.pages;
      }
    }
    return null;
  }
}
