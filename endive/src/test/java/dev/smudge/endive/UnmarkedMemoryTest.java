package dev.smudge.endive;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.GuestAccessException;
import dev.smudge.sync.VcpuPause;
import dev.smudge.sync.error.SealedException;
import java.util.Set;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import run.endive.runtime.WasmRuntimeException;
import run.endive.wasm.types.MemoryLimits;

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

  /** A guest that was offline comes online by its first store, and a pause holds it there. */
  @Test
  void write_whileVcpusArePaused_waitsForItsEnd() throws Exception {
    try (Guest guest = new Guest(16)) {
      Assumptions.assumeTrue(Guest.MMU);
      TrackedMemory linear = guest.linear(1);
      linear.writeI32(0, 1);
      guest.vcpu.offline();
      Thread writer;
      VcpuPause pause = guest.memory.log().pause();
      try {
        writer =
            Thread.ofPlatform()
                .start(() -> {
                  linear.writeI32(0x3000, linear.readInt(0) + 7);
                  guest.vcpu.offline();
                });
        while (writer.getState() != Thread.State.WAITING
            && writer.getState() != Thread.State.TIMED_WAITING) {
          assertTrue(writer.isAlive(), "it did not wait");
          Thread.onSpinWait();
        }
        assertEquals(0, linear.readInt(0x3000));
      } finally {
        pause.close();
      }
      writer.join();
      assertEquals(8, linear.readInt(0x3000));
      assertTrue(guest.copyDirtyPages().contains(3L));
    }
  }

  /** A pause waits for a guest that is online, and names it. */
  @Test
  void pause_whileTheGuestIsOnline_waitsForItsSafepoint() throws Exception {
    try (Guest guest = new Guest(16)) {
      Assumptions.assumeTrue(Guest.MMU);
      TrackedMemory linear = guest.linear(1);
      linear.writeI32(0, 1); // by this thread, which is online now
      Thread pauser = Thread.ofPlatform().start(() -> guest.memory.log().pause().close());
      while (pauser.getState() == Thread.State.RUNNABLE || pauser.getState() == Thread.State.NEW) {
        linear.writeI32(4, linear.readInt(4) + 1); // none of these is a safepoint
      }
      assertTrue(pauser.isAlive());
      guest.vcpu.offline();
      pauser.join();
    }
  }

  @Test
  void write_afterTheSlotHasGoneOrTheLogIsSealed_isRefused() {
    try (Guest guest = new Guest(16)) {
      Assumptions.assumeTrue(Guest.MMU);
      TrackedMemory linear = guest.linear(1);
      linear.writeI32(0, 1);
      guest.vcpu.offline();
      guest.memory.seal();
      assertThrows(SealedException.class, () -> linear.writeI32(0, 2));
      assertEquals(1, linear.readInt(0));
      guest.vcpu.offline();
      guest.memory.unseal();
      linear.writeI32(0, 3);
      guest.vcpu.offline();
      guest.memory.removeSlot(guest.slot.id()).close();
      assertThrows(GuestAccessException.class, () -> linear.writeI32(0, 4));
      guest.vcpu.offline();
    }
  }

  /** Its accesses would go to the slot that the other memory has at these addresses. */
  @Test
  void over_vcpuOfAnotherMemory_isRefused() {
    try (Guest guest = new Guest(16);
        Guest other = new Guest(16)) {
      MemoryLimits limits = new MemoryLimits(1);
      assertThrows(
          IllegalArgumentException.class, () -> TrackedMemory.over(guest.slot, other.vcpu, limits));
      TrackedMemory linear = guest.linear(1);
      assertThrows(IllegalArgumentException.class, () -> linear.withVcpu(other.vcpu));
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
