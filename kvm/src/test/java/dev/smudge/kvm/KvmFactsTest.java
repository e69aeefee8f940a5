package dev.smudge.kvm;

import static dev.smudge.kvm.KvmGuest.ADDRESS;
import static dev.smudge.kvm.KvmGuest.PAGE;
import static dev.smudge.kvm.KvmGuest.SLOT;
import static dev.smudge.kvm.KvmGuest.range;
import static dev.smudge.kvm.KvmGuest.set;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.util.BitSet;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What the real kernel does with bitmaps and slots: the facts that the software backend copies. */
@RequiresKvm
@Timeout(60)
class KvmFactsTest {
  static final Consumer<KvmVm> PLAIN = vm -> {};
  static final Consumer<KvmVm> MANUAL = vm -> vm.enableManualProtect(false);
  static final Consumer<KvmVm> INITIALLY_SET = vm -> vm.enableManualProtect(true);

  static void refused(String errno, Executable call) {
    KvmException e = assertThrows(KvmException.class, call);
    assertEquals(errno, e.errnoName(), e::getMessage);
  }

  // GET

  @Test
  void get_plain_clears() {
    try (KvmGuest guest = new KvmGuest(130, PLAIN).log()) {
      assertEquals(set(), guest.get());
      guest.write(1, 0, 64, 129);
      assertEquals(set(0, 64, 129), guest.get());
      assertEquals(set(), guest.get());
      guest.write(2, 64);
      assertEquals(set(64), guest.get());
    }
  }

  @Test
  void get_manual_canBeRepeated() {
    try (KvmGuest guest = new KvmGuest(130, MANUAL).log()) {
      guest.write(1, 0, 129);
      assertEquals(set(0, 129), guest.get());
      assertEquals(set(0, 129), guest.get());
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 63, 64, 65, 4099})
  void get_initiallySet_hasExactlyTheSlotsPages(int pages) {
    try (KvmGuest guest = new KvmGuest(pages, INITIALLY_SET).log()) {
      assertEquals(set(range(0, pages)), guest.get());
      guest.clear(set(range(0, pages)));
      assertEquals(set(), guest.get());
      guest.write(1, pages - 1);
      assertEquals(set(pages - 1), guest.get());
    }
  }

  @Test
  void manualProtect_flagTwoAlone_isRefused() {
    try (KvmGuest guest = new KvmGuest(1, PLAIN)) {
      refused(
          "EINVAL",
          () -> guest.vm.capabilities().enable("cap", Ioctls.CAP_MANUAL_DIRTY_LOG_PROTECT2, 2));
      refused(
          "EINVAL",
          () -> guest.vm.capabilities().enable("cap", Ioctls.CAP_MANUAL_DIRTY_LOG_PROTECT2, 4));
    }
  }

  @Test
  void get_absentSlot_isRefused() {
    try (KvmGuest guest = new KvmGuest(1, PLAIN).log()) {
      refused("ENOENT", () -> bareGet(guest, 7));
      assertThrows(IllegalArgumentException.class, () -> guest.vm.getDirtyLog(7, guest.bitmap));
    }
  }

  @Test
  void get_slotIdOutOfRange_isRefused() {
    try (KvmGuest guest = new KvmGuest(1, PLAIN).log()) {
      refused("EINVAL", () -> bareGet(guest, guest.kvm.maxSlots()));
      refused("EINVAL", () -> bareGet(guest, 0xFFFF));
      refused("EINVAL", () -> bareGet(guest, 1 << 16 | SLOT)); // address space 1
    }
  }

  @Test
  void get_slotWithoutLog_isRefused() {
    try (KvmGuest guest = new KvmGuest(1, PLAIN)) {
      refused("ENOENT", () -> bareGet(guest, 0));
    }
  }

  private static void bareGet(KvmGuest guest, int slotId) {
    guest.vm.slots().getDirtyLog(slotId, guest.bitmap.address(), guest.bitmap);
  }

  @Test
  void get_badPointer_losesTheBits() {
    try (KvmGuest guest = new KvmGuest(64, PLAIN).log()) {
      guest.write(1, 5);
      refused("EFAULT", () -> guest.vm.slots().getDirtyLog(SLOT, 8, MemorySegment.NULL));
      assertEquals(set(), guest.get());
    }
  }

  @Test
  void get_badPointerManual_keepsTheBits() {
    try (KvmGuest guest = new KvmGuest(64, MANUAL).log()) {
      guest.write(1, 5);
      refused("EFAULT", () -> guest.vm.slots().getDirtyLog(SLOT, 8, MemorySegment.NULL));
      assertEquals(set(5), guest.get());
    }
  }

  @Test
  void get_bufferTooSmall_isRefusedHere() {
    try (KvmGuest guest = new KvmGuest(65, PLAIN).log()) {
      assertThrows(
          IllegalArgumentException.class,
          () -> guest.vm.getDirtyLog(SLOT, guest.bitmap.asSlice(0, 8)));
      assertThrows(
          IllegalArgumentException.class,
          () -> guest.vm.getDirtyLog(SLOT, MemorySegment.ofArray(new long[2])));
    }
  }

  @Test
  void hostWrite_isNotSeen() {
    try (KvmGuest guest = new KvmGuest(64, PLAIN).log()) {
      guest.ram.fill((byte) 1);
      assertEquals(set(), guest.get());
    }
  }

  // CLEAR

  @Test
  void clear_dropsOnlyBitsThatWereSetInTheArgument() {
    try (KvmGuest guest = new KvmGuest(64, MANUAL).log()) {
      guest.write(1, range(0, 64));
      guest.clear(set(5, 6, 7, 8, 9));
      BitSet rest = set(range(0, 64));
      rest.clear(5, 10);
      assertEquals(rest, guest.get());
      guest.write(2, 7, 20);
      rest.set(7);
      assertEquals(rest, guest.get());
    }
  }

  @Test
  void clear_bitThatIsNotSet_isFine() {
    try (KvmGuest guest = new KvmGuest(64, MANUAL).log()) {
      guest.write(1, 3);
      guest.clear(set(range(0, 64)));
      assertEquals(set(), guest.get());
    }
  }

  @Test
  void clear_pageNotCleared_isNotReportedAgain() {
    try (KvmGuest guest = new KvmGuest(64, MANUAL).log()) {
      guest.write(1, 3);
      guest.clear(set());
      guest.write(2, 3);
      assertEquals(set(3), guest.get());
    }
  }

  @ParameterizedTest
  @CsvSource({"0, 0", "0, 64", "0, 128", "64, 64", "64, 65", "64, 0", "128, 0", "128, 1", "0, 129"})
  void clear_alignedOrToTheEnd_isDone(long first, long count) {
    try (KvmGuest guest = new KvmGuest(129, MANUAL).log()) {
      guest.write(1, range(0, 129));
      guest.clear(first, count, set(range(0, (int) count)));
      BitSet rest = set(range(0, 129));
      rest.clear((int) first, (int) (first + count));
      assertEquals(rest, guest.get());
    }
  }

  @Test
  void clear_nothingAtTheEnd_isDone() {
    try (KvmGuest guest = new KvmGuest(128, MANUAL).log()) {
      guest.write(1, 127);
      guest.clear(128, 0, set());
      refused("EINVAL", () -> guest.clear(128, 64, set()));
      assertEquals(set(127), guest.get());
    }
  }

  @ParameterizedTest
  @CsvSource({
    "1, 64",
    "63, 1",
    "65, 64",
    "0, 1",
    "0, 63",
    "0, 65",
    "0, 127",
    "0, 130",
    "128, 2",
    "128, 64",
    "192, 0",
    "192, 64",
    "-64, 64",
    "-64, 0",
    "64, 128",
    "4294967296, 64",
    "4294967296, 0"
  })
  void clear_unalignedOrOutside_isRefused(long first, long count) {
    try (KvmGuest guest = new KvmGuest(129, MANUAL).log()) {
      guest.write(1, range(0, 129));
      refused("EINVAL", () -> guest.clear(first, count, set(range(0, (int) count))));
      assertEquals(set(range(0, 129)), guest.get());
    }
  }

  @Test
  void clear_countsNearTheLimitOf32Bits_areRefused() {
    try (KvmGuest guest = new KvmGuest(129, MANUAL).log()) {
      MemorySegment huge = MemorySegment.ofAddress(0);
      assertThrows(
          IllegalArgumentException.class, () -> guest.vm.clearDirtyLog(SLOT, 0, 1L << 32, huge));
      assertThrows(IllegalArgumentException.class, () -> guest.vm.clearDirtyLog(SLOT, 0, -1, huge));
      assertThrows(IllegalArgumentException.class, () -> guest.vm.clearDirtyLog(SLOT, 0, 65, huge));
    }
  }

  @Test
  void clear_absentOrUnloggedSlot_isRefused() {
    try (KvmGuest guest = new KvmGuest(64, MANUAL).log()) {
      refused("ENOENT", () -> guest.vm.clearDirtyLog(7, 0, 64, guest.bitmap));
      refused("ENOENT", () -> guest.vm.clearDirtyLog(0, 0, 64, guest.bitmap));
    }
  }

  @Test
  void clear_notManual_isDoneToo() {
    try (KvmGuest guest = new KvmGuest(64, PLAIN).log()) {
      guest.write(1, 3, 4);
      guest.clear(set(3));
      assertEquals(set(4), guest.get());
    }
  }

  // Slots

  @ParameterizedTest
  @CsvSource({
    "2, 0, 0x200001000, 0x1800, 0", // half a page
    "2, 0, 0x200000800, 0x1000, 0", // unaligned guest address
    "2, 0, 0x200000000, 0x1000, 0x800", // unaligned RAM
    "2, 0, 0xfffffffffffff000, 0x2000, 0", // wraps
    "2, 4, 0x200000000, 0x1000, 0", // unknown flag
    "32764, 0, 0x200000000, 0x1000, 0", // one past the last
    "65538, 0, 0x200000000, 0x1000, 0", // address space 1
    "-1, 0, 0x200000000, 0x1000, 0",
    "2, 0, 0, 0, 0", // deletes what there is not
  })
  void setSlot_badValues_areRefused(
      int slotId, int flags, String guestAddress, String bytes, String offset) {
    try (KvmGuest guest = new KvmGuest(4, PLAIN).log()) {
      refused(
          "EINVAL",
          () ->
              guest
                  .vm
                  .slots()
                  .setRegion(
                      slotId,
                      flags,
                      number(guestAddress),
                      number(bytes),
                      guest.ram.address() + number(offset),
                      guest.ram));
    }
  }

  private static long number(String text) {
    return text.startsWith("0x")
        ? Long.parseUnsignedLong(text.substring(2), 16)
        : Long.parseLong(text);
  }

  @Test
  void setSlot_overlap_isRefused() {
    try (KvmGuest guest = new KvmGuest(4, PLAIN).log()) {
      MemorySegment other = guest.arena.allocate(4 * PAGE, PAGE);
      refused("EEXIST", () -> guest.vm.setSlot(2, 0, ADDRESS + 3 * PAGE, other));
      refused("EEXIST", () -> guest.vm.setSlot(2, 0, ADDRESS - PAGE, other));
      refused("EEXIST", () -> guest.vm.setSlot(SLOT, 1, 0, guest.ram)); // a move onto slot 0
      guest.vm.setSlot(2, 0, ADDRESS + 4 * PAGE, other);
    }
  }

  /** The kernel takes it, and a write by way of one slot is not in the other's log. */
  @Test
  void setSlot_ramOfAnotherSlot_isRefusedHere() {
    try (KvmGuest guest = new KvmGuest(4, PLAIN).log()) {
      MemorySegment last = guest.ram.asSlice(3 * PAGE, PAGE);
      for (int flags : new int[] {0, KvmVm.LOG_DIRTY_PAGES, KvmVm.READ_ONLY}) {
        IllegalArgumentException e =
            assertThrows(
                IllegalArgumentException.class,
                () -> guest.vm.setSlot(2, flags, ADDRESS + 4 * PAGE, last));
        assertTrue(e.toString().contains("slot 2 would be over RAM of slot 1 too"), e::toString);
      }
      MemorySegment rom = guest.arena.allocate(PAGE, PAGE);
      guest.vm.setSlot(2, KvmVm.READ_ONLY, ADDRESS + 4 * PAGE, rom);
      guest.vm.setSlot(3, KvmVm.READ_ONLY, ADDRESS + 5 * PAGE, rom); // a BIOS at two addresses
      guest.vm.deleteSlot(SLOT);
      guest.vm.setSlot(4, 0, ADDRESS, guest.ram); // and now it is free
    }
  }

  @Test
  void refusal_message_hasWhatWasAskedFor() {
    try (KvmGuest guest = new KvmGuest(4, MANUAL).log()) {
      MemorySegment other = guest.arena.allocate(4 * PAGE, PAGE);
      KvmException slot =
          assertThrows(KvmException.class, () -> guest.vm.setSlot(2, 1, ADDRESS + PAGE, other));
      assertTrue(
          slot.toString().contains("slot 2, flags 1, 16384 bytes at guest address 0x40001000"),
          slot::toString);
      KvmException clear =
          assertThrows(KvmException.class, () -> guest.vm.clearDirtyLog(SLOT, 1, 64, guest.bitmap));
      assertTrue(clear.toString().contains("slot 1, 64 pages from 1: EINVAL"), clear::toString);
    }
  }

  @Test
  void setSlot_sameIdOtherSizeOrRamOrReadOnly_isRefused() {
    try (KvmGuest guest = new KvmGuest(4, PLAIN).log()) {
      guest.write(1, 2);
      refused("EINVAL", () -> guest.vm.setSlot(SLOT, 1, ADDRESS, guest.ram.asSlice(0, 2 * PAGE)));
      MemorySegment other = guest.arena.allocate(4 * PAGE, PAGE);
      refused("EINVAL", () -> guest.vm.setSlot(SLOT, 1, ADDRESS, other));
      refused("EINVAL", () -> guest.vm.setSlot(SLOT, 1 | KvmVm.READ_ONLY, ADDRESS, guest.ram));
      assertEquals(set(2), guest.get());
    }
  }

  @Test
  void setSlot_moved_keepsTheBitmap() {
    try (KvmGuest guest = new KvmGuest(4, PLAIN).log()) {
      guest.write(1, 2);
      guest.vm.setSlot(SLOT, KvmVm.LOG_DIRTY_PAGES, ADDRESS + 16 * PAGE, guest.ram);
      guest.write(2, 17); // page 1, at its new address
      assertEquals(2, guest.valueOf(1));
      assertEquals(set(1, 2), guest.get());
    }
  }

  @Test
  void setSlot_movedManual_keepsTheBitmap() {
    try (KvmGuest guest = new KvmGuest(64, MANUAL).log()) {
      guest.write(1, 2);
      guest.vm.setSlot(SLOT, KvmVm.LOG_DIRTY_PAGES, ADDRESS + 64 * PAGE, guest.ram);
      assertEquals(set(2), guest.get());
      guest.clear(set(2));
      assertEquals(set(), guest.get());
    }
  }

  @Test
  void setSlot_logOffAndOn_losesTheBitmap() {
    try (KvmGuest guest = new KvmGuest(4, PLAIN).log()) {
      guest.write(1, 2);
      guest.vm.setSlot(SLOT, 0, ADDRESS, guest.ram);
      refused("ENOENT", guest::get);
      guest.log();
      assertEquals(set(), guest.get());
      guest.write(2, 2);
      assertEquals(set(2), guest.get());
    }
  }

  @Test
  void setSlot_logOnAgain_changesNothing() {
    try (KvmGuest guest = new KvmGuest(4, PLAIN).log()) {
      guest.write(1, 2);
      guest.log();
      assertEquals(set(2), guest.get());
    }
  }

  @Test
  void deleteSlot_andMadeAgain_losesTheBitmap() {
    try (KvmGuest guest = new KvmGuest(4, PLAIN).log()) {
      guest.write(1, 2);
      guest.vm.deleteSlot(SLOT);
      refused("ENOENT", () -> bareGet(guest, SLOT));
      guest.log();
      assertEquals(set(), guest.get());
    }
  }

  @Test
  void logOn_warmGuest_reportsWhatItWritesFromThenOn() {
    try (KvmGuest guest = new KvmGuest(64, PLAIN)) {
      guest.vm.setSlot(SLOT, 0, ADDRESS, guest.ram);
      guest.write(1, range(0, 64)); // bug 16: whatever the vCPU keeps is warm
      guest.log();
      guest.write(2, 9);
      assertEquals(set(9), guest.get());
    }
  }

  @Test
  void setSlot_ramNotOfPages_isRefusedHere() {
    try (KvmGuest guest = new KvmGuest(4, PLAIN)) {
      for (MemorySegment bad :
          new MemorySegment[] {
            MemorySegment.ofArray(new long[512]),
            guest.ram.asSlice(8, PAGE),
            guest.ram.asSlice(0, PAGE + 8),
            guest.ram.asSlice(0, 0)
          }) {
        assertThrows(IllegalArgumentException.class, () -> guest.vm.setSlot(2, 0, ADDRESS, bad));
      }
      assertTrue(guest.kvm.maxSlots() > 2);
    }
  }
}
