package dev.smudge.endive;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.VcpuPause;
import java.util.Set;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import run.endive.runtime.WasmRuntimeException;

/** Loads and stores that go to RAM by address, where writes are found without marks. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class UnmarkedMemoryTest {
  @Test
  void over_slotThatNeedsMarks_orNot_isTheKindForIt() {
    try (Guest guest = new Guest(16)) {
      assertEquals(!Guest.MMU, guest.slot.needsMarks());
      assertEquals(Guest.MMU, guest.linear(1) instanceof UnmarkedMemory);
    }
  }

  @Test
  void write_ofEachWidth_isFoundByATake() {
    try (Guest guest = new Guest(16)) {
      Assumptions.assumeTrue(Guest.MMU);
      TrackedMemory linear = guest.linear(16);
      // Else a huge page comes with the first store, and is dirty as a whole.
      guest.slot.ram().fill((byte) 1);
      guest.copyDirtyPages();
      linear.writeByte(0, (byte) 1);
      linear.writeShort(0x1fff, (short) 2); // over a border of pages
      linear.writeI32(0x4000, 3);
      linear.writeLong(0x6000, 4);
      linear.writeF32(0x8000, 5);
      linear.writeF64(0xa000, 6);
      assertEquals(Set.of(0L, 1L, 2L, 4L, 6L, 8L, 10L), guest.copyDirtyPages());
      guest.assertCopyIsEqual();
      assertEquals(Set.of(), guest.copyDirtyPages());
    }
  }

  /** No store is a safepoint: neither a take nor a pause has anything to wait for. */
  @Test
  void write_whileVcpusArePaused_isMade() throws Exception {
    try (Guest guest = new Guest(16)) {
      Assumptions.assumeTrue(Guest.MMU);
      TrackedMemory linear = guest.linear(1);
      Thread writer;
      try (VcpuPause pause = guest.memory.pause()) {
        writer = Thread.ofPlatform().start(() -> linear.writeI32(0x3000, linear.readInt(0) + 7));
        writer.join(20_000);
        assertFalse(writer.isAlive(), pause::toString);
      }
      assertEquals(7, linear.readInt(0x3000));
      assertTrue(guest.copyDirtyPages().contains(3L));
    }
  }

  @Test
  void access_afterAnotherFacadeHasGrown_isInside() {
    try (Guest guest = new Guest(16)) {
      TrackedMemory one = guest.linear(1);
      TrackedMemory other = one.withVcpu(guest.vcpu);
      assertThrows(WasmRuntimeException.class, () -> one.writeI32(0x1_0000, 1));
      assertEquals(1, other.grow(1));
      one.writeI32(0x1_fffc, 1);
      assertEquals(1, other.readInt(0x1_fffc));
      assertThrows(WasmRuntimeException.class, () -> one.writeI32(0x1_fffd, 1));
      assertThrows(WasmRuntimeException.class, () -> one.readLong(-1));
      guest.vcpu.offline();
    }
  }
}
