package dev.smudge.kvm;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The slots of a VM: what is known of each, and the calls that change them and that fetch and clear
 * their dirty logs. {@link KvmVm} has the same methods, with their documentation.
 *
 * <p>The kernel is given the address of a bitmap without its length, so each bitmap is compared
 * with the slot's size first. That is why the size of each slot is remembered here.
 *
 * <p>Any thread may call the methods; one runs at a time. The fetch and the clear allocate nothing.
 */
final class VmSlots {
  /** A slot. Holding its RAM here keeps memory of an automatic arena reachable. */
  private record Slot(long pageCount, int flags, MemorySegment ram, boolean isTracked) {
    boolean overlaps(Slot other) {
      long start = ram.address();
      long otherStart = other.ram.address();
      return start < otherStart + other.ram.byteSize() && otherStart < start + ram.byteSize();
    }

    boolean isReadOnly() {
      return (flags & KvmVm.READ_ONLY) != 0;
    }
  }

  private final KvmFile file;
  private final int pageSize;

  // All are guarded by this.
  private final Map<Integer, Slot> slots = new HashMap<>();
  private final MemorySegment region = record(MemoryRegionLayout.SIZE);
  private final MemorySegment dirtyLog = record(DirtyLogLayout.SIZE);
  private final MemorySegment clearDirtyLog = record(ClearDirtyLogLayout.SIZE);

  VmSlots(KvmFile file, int pageSize) {
    this.file = file;
    this.pageSize = pageSize;
  }

  private static MemorySegment record(long size) {
    return Arena.ofAuto().allocate(size, Long.BYTES);
  }

  synchronized void set(int slotId, int flags, long guestAddress, MemorySegment ram) {
    checkNotTracked(slotId);
    set(slotId, flags, guestAddress, checked(ram, flags, false));
  }

  /** As {@link #set}, of a slot that is a memory's from here on, whose tracker alone changes it. */
  synchronized void setTracked(int slotId, int flags, long guestAddress, MemorySegment ram) {
    set(slotId, flags, guestAddress, checked(ram, flags, true));
  }

  /** Its log, and so the writes that nobody has been told of, would go with such a change. */
  private void checkNotTracked(int slotId) {
    @Nullable Slot slot = slots.get(slotId);
    if (slot != null && slot.isTracked) {
      throw new IllegalStateException(
          "slot "
              + slotId
              + " is that of a GuestMemory over a KvmTracker, which would miss writes: change it"
              + " there, by a SlotTransaction");
    }
  }

  private void set(int slotId, int flags, long guestAddress, Slot slot) {
    MemorySegment ram = slot.ram;
    for (Map.Entry<Integer, Slot> each : slots.entrySet()) {
      Slot other = each.getValue();
      if (each.getKey() != slotId
          && slot.overlaps(other)
          && !(slot.isReadOnly() && other.isReadOnly())) {
        throw new IllegalArgumentException(
            "slot "
                + slotId
                + " would be over RAM of slot "
                + each.getKey()
                + " too, "
                + other.ram
                + ", and a write through one would not be dirty in the other; only slots that are"
                + " all READ_ONLY share RAM");
      }
    }
    setRegion(slotId, flags, guestAddress, ram.byteSize(), ram.address(), ram);
    slots.put(slotId, slot);
  }

  synchronized void adopt(int slotId, MemorySegment ram) {
    checkNotTracked(slotId);
    slots.put(slotId, checked(ram, 0, false));
  }

  private Slot checked(MemorySegment ram, int flags, boolean tracked) {
    if (!ram.isNative() || ram.address() % pageSize != 0 || ram.byteSize() % pageSize != 0) {
      throw new IllegalArgumentException(
          "the RAM of a slot has to be whole pages of "
              + pageSize
              + " bytes of native memory: "
              + ram);
    }
    if (ram.byteSize() == 0) {
      throw new IllegalArgumentException("the RAM of a slot has 0 bytes");
    }
    return new Slot(ram.byteSize() / pageSize, flags, ram, tracked);
  }

  synchronized void delete(int slotId) {
    checkNotTracked(slotId);
    deleteTracked(slotId);
  }

  /** Deletes a slot, whosever it is. */
  synchronized void deleteTracked(int slotId) {
    setRegion(slotId, 0, 0, 0, 0, MemorySegment.NULL);
    slots.remove(slotId);
  }

  /** Forgets all slots: the kernel has deleted them with the VM. */
  synchronized void clear() {
    slots.clear();
  }

  /** The bare call KVM_SET_USER_MEMORY_REGION, without a check. */
  synchronized void setRegion(
      int slotId, int flags, long guestAddress, long bytes, long address, MemorySegment ram) {
    region.set(JAVA_INT, MemoryRegionLayout.SLOT_OFFSET, slotId);
    region.set(JAVA_INT, MemoryRegionLayout.FLAGS_OFFSET, flags);
    region.set(JAVA_LONG, MemoryRegionLayout.GUEST_ADDRESS_OFFSET, guestAddress);
    region.set(JAVA_LONG, MemoryRegionLayout.BYTES_OFFSET, bytes);
    region.set(JAVA_LONG, MemoryRegionLayout.USER_ADDRESS_OFFSET, address);
    try {
      file.ioctl("KVM_SET_USER_MEMORY_REGION", Ioctls.SET_USER_MEMORY_REGION, region, ram);
    } catch (KvmException e) {
      throw e.of(
          String.format(
              Locale.ROOT,
              "slot %d, flags %d, %d bytes at guest address 0x%x, RAM at 0x%x",
              slotId,
              flags,
              bytes,
              guestAddress,
              address));
    }
  }

  synchronized void getDirtyLog(int slotId, MemorySegment bitmap) {
    file.fd(); // A closed VM has no slots, so say that it is closed rather than that there is none.
    @Nullable Slot slot = slots.get(slotId);
    if (slot == null) {
      throw new IllegalArgumentException("there is no slot " + slotId);
    }
    checkBitmap(bitmap, slot.pageCount);
    getDirtyLog(slotId, bitmap.address(), bitmap);
  }

  /** The bare call KVM_GET_DIRTY_LOG, without a check. */
  synchronized void getDirtyLog(int slotId, long address, MemorySegment kept) {
    dirtyLog.set(JAVA_INT, DirtyLogLayout.SLOT_OFFSET, slotId);
    dirtyLog.set(JAVA_LONG, DirtyLogLayout.BITMAP_OFFSET, address);
    try {
      file.ioctl("KVM_GET_DIRTY_LOG", Ioctls.GET_DIRTY_LOG, dirtyLog, kept);
    } catch (KvmException e) {
      throw e.of("slot " + slotId);
    }
  }

  synchronized void clearDirtyLog(
      int slotId, long firstPage, long pageCount, MemorySegment bitmap) {
    if (pageCount < 0 || pageCount >>> Integer.SIZE != 0) {
      throw new IllegalArgumentException(pageCount + " pages: it has to be 0 to 2^32 - 1");
    }
    checkBitmap(bitmap, pageCount);
    clearDirtyLog.set(JAVA_INT, ClearDirtyLogLayout.SLOT_OFFSET, slotId);
    clearDirtyLog.set(JAVA_INT, ClearDirtyLogLayout.PAGES_OFFSET, (int) pageCount);
    clearDirtyLog.set(JAVA_LONG, ClearDirtyLogLayout.FIRST_PAGE_OFFSET, firstPage);
    clearDirtyLog.set(JAVA_LONG, ClearDirtyLogLayout.BITMAP_OFFSET, bitmap.address());
    try {
      file.ioctl("KVM_CLEAR_DIRTY_LOG", Ioctls.CLEAR_DIRTY_LOG, clearDirtyLog, bitmap);
    } catch (KvmException e) {
      throw e.of("slot " + slotId + ", " + pageCount + " pages from " + firstPage);
    }
  }

  private static void checkBitmap(MemorySegment bitmap, long pageCount) {
    long least = (pageCount + Long.SIZE - 1) / Long.SIZE * Long.BYTES;
    if (!bitmap.isNative() || bitmap.byteSize() < least) {
      throw new IllegalArgumentException(
          "a bitmap of "
              + pageCount
              + " pages has to be native memory, at least "
              + least
              + " bytes: "
              + bitmap);
    }
  }
}
