package dev.smudge.endive;

import dev.smudge.core.Vcpu;
import dev.smudge.core.WriteWindow;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * A memory over RAM whose writes are found without marks, and that is reached by address: a load of
 * the guest is that, and one compare with the end of memory before it.
 *
 * <p>No access is a safepoint. But a store is made by a vCPU that is online: so a pause waits for
 * the guest, which gets to a safepoint when it calls the host, and what stores after that waits for
 * the end of the pause. A {@link WriteWindow} sees to it, which is closed whenever the vCPU goes
 * offline, and at the safepoints after which the slot may be another, or the log is sealed. While
 * it is open that costs a store one more compare.
 *
 * <p>The addresses stay mapped as long as the slot is reachable, which this object refers to.
 */
final class UnmarkedMemory extends TrackedMemory {
  private static final ValueLayout.OfByte BYTE = ValueLayout.JAVA_BYTE;
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** Whether the embedder has granted native access to this module too. */
  private static final boolean GRANTED = UnmarkedMemory.class.getModule().isNativeAccessEnabled();

  private static final MemorySegment ALL = GRANTED ? everything() : MemorySegment.NULL;

  private final WriteWindow window;
  private final long raw;

  /** The address behind the memory as this facade last knew it; the memory may have grown since. */
  private long end;

  UnmarkedMemory(LinearMemory memory, Vcpu vcpu) {
    super(memory, vcpu);
    this.window = vcpu.window(memory.slot.guestAddress(), memory.slot.size());
    this.raw = memory.slot.address();
    this.end = raw + memory.size();
  }

  @SuppressWarnings("restricted") // granted
  private static MemorySegment everything() {
    return MemorySegment.NULL.reinterpret(Long.MAX_VALUE);
  }

  /** Whether a linear memory can be one of these. */
  static boolean isFor(LinearMemory memory) {
    return GRANTED && memory.slot.address() != 0 && !memory.slot.needsMarks();
  }

  private long toStore(int addr, int width) {
    long address = raw + (addr & 0xffff_ffffL); // a negative address is far outside
    if (window.isClosed()) {
      checkedStore(addr, width); // first: a trap is the guest's, whatever the slot is
      open();
    }
    if (address > end - width) {
      checkedStore(addr, width);
      end = raw + memory.size();
    }
    return address;
  }

  /** Brings the vCPU online; refuses a slot that has gone, and stores after a seal. */
  private void open() {
    if (window.ram().address() != raw) {
      throw new IllegalStateException(
          memory.slot
              + " was moved or replaced under the guest, which has to be ended before that");
    }
  }

  private long toLoad(int addr, int width) {
    long address = raw + (addr & 0xffff_ffffL);
    if (address > end - width) {
      checkedLoad(addr, width);
      end = raw + memory.size();
    }
    return address;
  }

  @Override
  void resetPages(int pages) {
    super.resetPages(pages);
    end = raw + memory.size();
  }

  @Override
  public void writeByte(int addr, byte data) {
    ALL.set(BYTE, toStore(addr, 1), data);
  }

  @Override
  public void writeShort(int addr, short data) {
    ALL.set(SHORT, toStore(addr, 2), data);
  }

  @Override
  public void writeI32(int addr, int data) {
    ALL.set(INT, toStore(addr, 4), data);
  }

  @Override
  public void writeLong(int addr, long data) {
    ALL.set(LONG, toStore(addr, 8), data);
  }

  @Override
  public void writeF32(int addr, float data) {
    ALL.set(INT, toStore(addr, 4), Float.floatToRawIntBits(data));
  }

  @Override
  public void writeF64(int addr, double data) {
    ALL.set(LONG, toStore(addr, 8), Double.doubleToRawLongBits(data));
  }

  @Override
  public byte read(int addr) {
    return ALL.get(BYTE, toLoad(addr, 1));
  }

  @Override
  public short readShort(int addr) {
    return ALL.get(SHORT, toLoad(addr, 2));
  }

  @Override
  public int readInt(int addr) {
    return ALL.get(INT, toLoad(addr, 4));
  }

  @Override
  public long readLong(int addr) {
    return ALL.get(LONG, toLoad(addr, 8));
  }

  @Override
  public float readFloat(int addr) {
    return Float.intBitsToFloat(ALL.get(INT, toLoad(addr, 4)));
  }

  @Override
  public double readDouble(int addr) {
    return Double.longBitsToDouble(ALL.get(LONG, toLoad(addr, 8)));
  }
}
