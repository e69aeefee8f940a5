package dev.smudge.migration;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.LogSlot;
import dev.smudge.sync.pages.PagePort;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What is refused before a migration begins. */
@Timeout(60)
class GuestRamTest {
  /** The guest's own port, but for what a test says otherwise. */
  private static class Port implements PagePort.OwnRam {
    private final Guest guest;

    Port(Guest guest) {
      this.guest = guest;
    }

    @Override
    public void read(LogSlot slot, long pageIndex, byte[] page) {
      guest.read(slot, pageIndex, page);
    }

    @Override
    public void write(LogSlot slot, long pageIndex, byte[] page) {
      guest.write(slot, pageIndex, page);
    }
  }

  private static void assertRefused(Guest guest, PagePort<LogSlot> port, String why) {
    List<LogSlot> slots = guest.slots;
    IllegalArgumentException e =
        assertThrows(
            IllegalArgumentException.class, () -> new GuestRam<>(guest.client, slots, port));
    String message = String.valueOf(e.getMessage());
    assertTrue(message.contains(why), message);
  }

  /** Pages that are written would be marked as others, and lost for other clients. */
  @Test
  void new_portWithOtherPagesThanTheSlotsOfTheLog_isRefused() {
    try (Guest guest = Guest.booted(16)) {
      assertRefused(
          guest,
          new Port(guest) {
            @Override
            public long pageCount(LogSlot slot) {
              return slot.pageCount() - 1;
            }
          },
          "7 pages of 4096 units");
      assertRefused(
          guest,
          new Port(guest) {
            @Override
            public long pageSize(LogSlot slot) {
              return 256;
            }

            @Override
            public int pageBytes(LogSlot slot) {
              return 4096;
            }
          },
          "8 pages of 256 units");
    }
  }

  @Test
  void new_twoSlotsOfOneNumber_isRefused() {
    try (Guest guest = Guest.booted(16)) {
      assertRefused(
          guest,
          new Port(guest) {
            @Override
            public int slotId(LogSlot slot) {
              return 3;
            }
          },
          "two slots have the number 3");
    }
  }

  @Test
  void new_pagesThatAreNoMultipleOfEightBytes_isRefused() {
    try (Guest guest = Guest.booted(16)) {
      assertRefused(
          guest,
          new Port(guest) {
            @Override
            public int pageBytes(LogSlot slot) {
              return 12;
            }
          },
          "has 12 bytes: it has to be a multiple of 8");
    }
  }
}
