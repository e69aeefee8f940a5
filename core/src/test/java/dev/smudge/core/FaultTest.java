package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.testbase.RamFile;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A write that the system cuts short half-way: what had landed is marked. */
class FaultTest {
  private static final int PAGE = 65_536; // of the guest; no system's is larger
  private static final int PAGES = 8;

  enum Write {
    VCPU_SEGMENT,
    VCPU_ARRAY,
    VCPU_FILL,
    VCPU_COPY,
    DEVICE_SEGMENT,
    DEVICE_FILL;

    void run(GuestMemory memory, Vcpu vcpu, long address, int length) {
      byte[] ones = new byte[length];
      Arrays.fill(ones, (byte) 1);
      switch (this) {
        case VCPU_SEGMENT -> vcpu.write(address, MemorySegment.ofArray(ones));
        case VCPU_ARRAY -> vcpu.write(address, ones, 0, length);
        case VCPU_FILL -> vcpu.fill(address, length, (byte) 1);
        case VCPU_COPY -> vcpu.copy(1L << 32, address, length);
        case DEVICE_SEGMENT -> memory.device().write(address, MemorySegment.ofArray(ones));
        case DEVICE_FILL -> memory.device().fill(address, length, (byte) 1);
      }
    }
  }

  /** Many times: compiled, the JVM may report the fault later than where it happened. */
  @ParameterizedTest
  @EnumSource
  @EnabledOnOs(OS.LINUX)
  void write_ramEndsHalfWay_whatLandedIsMarked(Write write, @TempDir Path directory)
      throws Exception {
    try (FileChannel file = RamFile.create(directory)) {
      warmUp(write);
      for (int round = 0; round < 100; round++) {
        file.truncate(0);
        writeToRamThatEnds(write, file);
      }
    }
  }

  private static void warmUp(Write write) {
    try (GuestMemory memory = GuestMemory.create()) {
      memory.addSlot(0, 0, PAGE, PAGE);
      memory.addSlot(1, 1L << 32, PAGE, PAGE);
      Vcpu vcpu = memory.addVcpu();
      for (int i = 0; i < 20_000; i++) {
        write.run(memory, vcpu, i % 100, 100 + i % 300);
      }
    }
  }

  private static void writeToRamThatEnds(Write write, FileChannel file) throws Exception {
    try (Arena arena = Arena.ofShared();
        GuestMemory memory = GuestMemory.create()) {
      MemorySegment ram = file.map(FileChannel.MapMode.READ_WRITE, 0, (long) PAGES * PAGE, arena);
      memory.addSlot(0, 0, ram, PAGE);
      MemorySegment ones = MemorySegment.ofArray(new byte[PAGES * PAGE]).fill((byte) 1);
      memory.addSlot(1, 1L << 32, ones, PAGE);
      DirtyClient<GuestSlot> client = memory.client("test", InitialView.NONE_DIRTY);
      Vcpu vcpu = memory.addVcpu();
      vcpu.online();
      file.truncate(PAGES / 2 * PAGE);

      assertThrows(InternalError.class, () -> write.run(memory, vcpu, PAGE, (PAGES - 1) * PAGE));

      BitSet changed = new BitSet();
      for (int page = 0; page < PAGES / 2; page++) {
        MemorySegment one = ram.asSlice((long) page * PAGE, PAGE);
        changed.set(page, one.mismatch(MemorySegment.ofArray(new byte[PAGE])) >= 0);
      }
      assertFalse(changed.get(0));
      assertTrue(changed.cardinality() > 0, "some of it landed");
      BitSet dirty = Dirty.take(client).getOrDefault(0, new BitSet());
      changed.andNot(dirty);
      assertTrue(changed.isEmpty(), () -> "written, not dirty: " + changed + ", dirty: " + dirty);
    }
  }

  /** Zeroes are looked at before they are written, by code that may be compiled by then. */
  @Test
  @EnabledOnOs(OS.LINUX)
  void zeroFill_ramEndsInTheMiddle_isAnErrorOfThatCall(@TempDir Path directory) throws Exception {
    try (FileChannel file = RamFile.create(directory);
        Arena arena = Arena.ofShared();
        GuestMemory memory = GuestMemory.create()) {
      MemorySegment ram = file.map(FileChannel.MapMode.READ_WRITE, 0, (long) PAGES * PAGE, arena);
      memory.addSlot(0, 0, ram, PAGE);
      Vcpu vcpu = memory.addVcpu();
      for (int i = 0; i < 20_000; i++) {
        vcpu.fill(100 + i % 9, 4096, (byte) 0);
        memory.device().fill(100 + i % 9, 4096, (byte) 0);
      }
      file.truncate(PAGE);

      for (int i = 0; i < 500; i++) {
        long address = PAGE - 100L - i % 9; // begins where there is RAM
        assertThrows(InternalError.class, () -> vcpu.fill(address, 4096, (byte) 0));
        assertThrows(InternalError.class, () -> memory.device().fill(address, 4096, (byte) 0));
      }
    }
  }
}
