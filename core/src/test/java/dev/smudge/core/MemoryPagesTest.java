package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.RemovedSlot;
import dev.smudge.sync.VcpuPause;
import dev.smudge.sync.error.SealedException;
import dev.smudge.sync.pages.PagePort;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Whole pages of a memory, read and written by whoever saves and restores them. */
@Timeout(60)
class MemoryPagesTest {
  private static final int PAGE = 256;

  private static byte[] page(int value) {
    byte[] page = new byte[PAGE];
    Arrays.fill(page, (byte) value);
    return page;
  }

  @Test
  void write_thenRead_samePageAlone() {
    try (GuestMemory memory = GuestMemory.create()) {
      memory.addSlot(0, 0, 4 * PAGE, PAGE);
      GuestSlot slot = memory.addSlot(1, 1 << 20, 4 * PAGE, PAGE);
      PagePort<GuestSlot> pages = memory.pages();
      assertEquals(1, pages.slotId(slot));
      assertEquals(4, pages.pageCount(slot));
      assertEquals(PAGE, pages.pageSize(slot));
      assertEquals(PAGE, pages.pageBytes(slot));
      pages.write(slot, 2, page(7));
      byte[] read = new byte[PAGE];
      pages.read(slot, 2, read);
      assertArrayEquals(page(7), read);
      assertEquals(0, memory.device().getByte((1 << 20) + 2 * PAGE - 1));
      assertEquals(7, memory.device().getByte((1 << 20) + 2 * PAGE));
      assertEquals(0, memory.device().getByte((1 << 20) + 3 * PAGE));
      assertThrows(IndexOutOfBoundsException.class, () -> pages.write(slot, 4, page(1)));
      assertThrows(IndexOutOfBoundsException.class, () -> pages.read(slot, -1, read));
    }
  }

  /** Else it is in pages that the caller does not mark. */
  @Test
  void write_whatIsNotOnePage_refusedAndNothingWritten() {
    try (GuestMemory memory = GuestMemory.create()) {
      GuestSlot slot = memory.addSlot(0, 0, 4 * PAGE, PAGE);
      PagePort<GuestSlot> pages = memory.pages();
      for (int bytes : new int[] {0, PAGE - 1, PAGE + 1, 2 * PAGE}) {
        byte[] page = new byte[bytes];
        Arrays.fill(page, (byte) 1);
        assertThrows(IllegalArgumentException.class, () -> pages.write(slot, 0, page));
        assertThrows(IllegalArgumentException.class, () -> pages.read(slot, 0, page));
      }
      long wraps = 1L << 56; // its first byte is at offset 2^64
      assertThrows(IndexOutOfBoundsException.class, () -> pages.write(slot, wraps, page(1)));
      assertThrows(IndexOutOfBoundsException.class, () -> pages.read(slot, wraps, page(1)));
      assertArrayEquals(new byte[4 * PAGE], slot.ram().toArray(ValueLayout.JAVA_BYTE));
    }
  }

  @Test
  void write_sealedOrRemoved_refusedAndNothingWritten() {
    try (GuestMemory memory = GuestMemory.create()) {
      GuestSlot slot = memory.addSlot(0, 0, 4 * PAGE, PAGE);
      PagePort<GuestSlot> pages = memory.pages();
      memory.seal();
      assertThrows(SealedException.class, () -> pages.write(slot, 0, page(1)));
      memory.unseal();
      assertEquals(0, memory.device().getByte(0));
      try (RemovedSlot<GuestSlot> removed = memory.removeSlot(0)) {
        assertThrows(IllegalArgumentException.class, () -> pages.write(slot, 0, page(1)));
        assertEquals(0, removed.slot().ram().get(ValueLayout.JAVA_BYTE, 0));
      }
    }
  }

  @Test
  void write_inAPauseOfAll_ofAnother_waits() throws Exception {
    try (GuestMemory memory = GuestMemory.create()) {
      GuestSlot slot = memory.addSlot(0, 0, 4 * PAGE, PAGE);
      Thread writer;
      VcpuPause pause = memory.pauseAll();
      try {
        memory.pages().write(slot, 1, page(2)); // the holder's own
        writer = Thread.ofPlatform().start(() -> memory.pages().write(slot, 0, page(1)));
        while (writer.getState() != Thread.State.TIMED_WAITING
            && writer.getState() != Thread.State.WAITING) {
          assertTrue(writer.isAlive(), "it did not wait");
          Thread.onSpinWait();
        }
        assertEquals(0, slot.ram().get(ValueLayout.JAVA_BYTE, 0));
      } finally {
        pause.close();
      }
      writer.join();
      assertEquals(1, memory.device().getByte(0));
    }
  }
}
