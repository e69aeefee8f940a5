package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Until its next safepoint a vCPU sees one memory map, whatever it does. */
@Timeout(60)
class OneMapTest {
  private static final int SIZE = 1 << 16;

  /** Replaces the RAM of slot 0 while the vCPU does not pass a safepoint; done when it does. */
  private static Future<?> replaceRam(GuestMemory memory, MemorySegment ram) {
    GuestSlot old = memory.slot(0);
    Future<?> change =
        Threads.start(
            "change",
            index -> {
              try (SlotTransaction transaction = memory.beginTransaction()) {
                transaction.replaceRam(0, ram).commit().forEach(removed -> removed.close());
              }
            },
            0);
    while (memory.slot(0).equals(old)) {
      Thread.onSpinWait();
    }
    return change;
  }

  @Test
  void load_afterAStoreBesideAChange_findsTheStore() throws Exception {
    try (Arena arena = Arena.ofShared();
        GuestMemory memory = GuestMemory.create()) {
      memory.addSlot(0, 0, SIZE);
      Vcpu vcpu = memory.addVcpu();
      vcpu.getInt(64); // the read cursor is in the old map, the write cursor nowhere
      Future<?> change = replaceRam(memory, arena.allocate(SIZE, 4096));
      vcpu.putInt(64, 5);
      assertEquals(5, vcpu.getInt(64));
      assertEquals(5, vcpu.atomics().getVolatile(64, 4));
      while (!change.isDone()) {
        vcpu.safepoint(); // which takes the new map as soon as the change waits for it
      }
      assertEquals(0, vcpu.getInt(64), "the RAM of after");
      vcpu.offline();
      change.get();
    }
  }

  @Test
  void store_afterALoadBesideAChange_isWhereTheLoadLooks() throws Exception {
    try (Arena arena = Arena.ofShared();
        GuestMemory memory = GuestMemory.create()) {
      memory.addSlot(0, 0, SIZE);
      Vcpu vcpu = memory.addVcpu();
      vcpu.putInt(64, 1); // the write cursor is in the old map
      Future<?> change = replaceRam(memory, arena.allocate(SIZE, 4096));
      assertEquals(1, vcpu.getInt(64));
      vcpu.putInt(64, 2);
      assertEquals(2, vcpu.getInt(64));
      vcpu.offline();
      change.get();
    }
  }

  @Test
  void copy_besideAChange_readsWhatTheVcpuWrote() throws Exception {
    try (Arena arena = Arena.ofShared();
        GuestMemory memory = GuestMemory.create()) {
      memory.addSlot(0, 0, SIZE);
      Vcpu vcpu = memory.addVcpu();
      vcpu.fill(0, SIZE, (byte) 7);
      MemorySegment now = arena.allocate(SIZE, 4096);
      Future<?> change = replaceRam(memory, now);
      vcpu.copy(0, 16, SIZE - 16);
      assertEquals(7, vcpu.getByte(SIZE - 1));
      assertEquals(0, now.get(ValueLayout.JAVA_BYTE, SIZE - 1));
      vcpu.offline();
      change.get();
    }
  }

  /** A slot that was added stops nobody, and is found without a safepoint. */
  @Test
  void access_slotIsNew_isFoundAtOnce() {
    try (GuestMemory memory = GuestMemory.create()) {
      memory.addSlot(0, 0, SIZE);
      Vcpu vcpu = memory.addVcpu();
      vcpu.putInt(0, 1);
      assertThrows(GuestAccessException.class, () -> vcpu.putInt(SIZE, 1));
      memory.addSlot(1, SIZE, SIZE);
      vcpu.putInt(SIZE, 2);
      vcpu.putLong(SIZE - 4, 3); // over the border of the two
      assertEquals(3, vcpu.getInt(SIZE - 4));
      assertEquals(0, vcpu.getInt(SIZE));
      vcpu.offline();
    }
  }

  /** Each part that is written may hold what a later part is to have. */
  @Test
  void write_fromRamThatItOverwritesOverABorder_isAsThroughABuffer() {
    int half = SIZE / 2;
    try (GuestMemory memory = GuestMemory.create()) {
      GuestSlot low = memory.addSlot(0, 0, half);
      memory.addSlot(1, half, half, 256);
      Vcpu vcpu = memory.addVcpu();
      DirtyClient<GuestSlot> client = memory.client("restorer", InitialView.NONE_DIRTY);
      Random random = new Random(3);
      for (int round = 0; round < 300; round++) {
        byte[] expected = new byte[SIZE];
        random.nextBytes(expected);
        vcpu.write(0, expected, 0, SIZE);
        int from = random.nextInt(half);
        int to = random.nextInt(half);
        int length = random.nextInt(half - from);
        MemorySegment source = low.ram().asSlice(from, length);
        System.arraycopy(expected, from, expected, to, length);
        switch (round % 3) {
          case 0 -> vcpu.write(to, source);
          case 1 -> memory.device().write(to, source);
          default -> memory.device().writeAs(client, to, source);
        }
        byte[] written = new byte[SIZE];
        vcpu.read(0, written, 0, SIZE);
        assertArrayEquals(expected, written, "round " + round);
      }
    }
  }

  /** Each part that is read may overwrite what a later part is to copy. */
  @Test
  void read_intoRamThatIsReadOverABorder_isAsThroughABuffer() {
    int half = SIZE / 2;
    try (GuestMemory memory = GuestMemory.create()) {
      memory.addSlot(0, 0, half);
      GuestSlot high = memory.addSlot(1, half, half, 256);
      Vcpu vcpu = memory.addVcpu();
      Random random = new Random(5);
      for (int round = 0; round < 300; round++) {
        byte[] expected = new byte[SIZE];
        random.nextBytes(expected);
        vcpu.write(0, expected, 0, SIZE);
        int to = random.nextInt(half);
        int length = random.nextInt(half - to);
        int from = random.nextInt(SIZE - length);
        MemorySegment target = high.ram().asSlice(to, length);
        System.arraycopy(expected, from, expected, half + to, length);
        if (round % 2 == 0) {
          vcpu.read(from, target);
        } else {
          memory.device().read(from, target);
        }
        byte[] written = new byte[SIZE];
        vcpu.read(0, written, 0, SIZE);
        assertArrayEquals(expected, written, "round " + round);
      }
    }
  }

  /** Backwards, in parts: the ranges overlap, and go over borders. */
  @Test
  void copy_overlapsOverBorders_isAsThroughABuffer() {
    try (GuestMemory memory = GuestMemory.create()) {
      for (int slot = 0; slot < 5; slot++) {
        memory.addSlot(slot, slot * 1024L, 1024, 256);
      }
      Vcpu vcpu = memory.addVcpu();
      byte[] model = new byte[5 * 1024];
      for (int distance : new int[] {1, -1, 700, -700, 1024, -1024, 1500, -1500}) {
        for (int i = 0; i < model.length; i++) {
          model[i] = (byte) (i * 31 + (i >> 8));
        }
        vcpu.write(0, model, 0, model.length);
        int from = 1600;
        int length = 1900;
        vcpu.copy(from, from + distance, length);
        System.arraycopy(model, from, model, from + distance, length);
        byte[] all = new byte[model.length];
        vcpu.read(0, all, 0, all.length);
        assertEquals(-1, java.util.Arrays.mismatch(model, all), "distance " + distance);
      }
      vcpu.offline();
    }
  }
}
