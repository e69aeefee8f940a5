package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.MemorySegment;
import java.util.Map;
import java.util.Random;

/** What a slot's RAM has to hold: a plain array. */
final class SlotModel {
  final GuestSlot slot;
  final byte[] bytes;

  SlotModel(GuestSlot slot) {
    this.slot = slot;
    this.bytes = new byte[Math.toIntExact(slot.size())];
  }

  int offset(long address) {
    return Math.toIntExact(address - slot.guestAddress());
  }

  void store(long address, int width, boolean bigEndian, long value) {
    for (int i = 0; i < width; i++) {
      bytes[offset(address) + i] = (byte) (value >>> (8 * (bigEndian ? width - 1 - i : i)));
    }
  }

  /** Zero-extended. */
  long load(long address, int width, boolean bigEndian) {
    long value = 0;
    for (int i = 0; i < width; i++) {
      long one = bytes[offset(address) + i] & 0xffL;
      value |= one << (8 * (bigEndian ? width - 1 - i : i));
    }
    return value;
  }

  /** An address at which {@code length} bytes fit: often at a border of a page or of the slot. */
  long address(Random random, int length) {
    int room = bytes.length - Math.max(length, 1);
    int pageSize = Math.toIntExact(slot.pageSize());
    int offset =
        switch (random.nextInt(8)) {
          case 0 -> 0;
          case 1 -> room;
          case 2, 3, 4 ->
              pageSize * random.nextInt(bytes.length / pageSize) - random.nextInt(length + 9);
          default -> random.nextInt(room + 1);
        };
    return slot.guestAddress() + Math.clamp(offset, 0, room);
  }

  void assertSame(String when) {
    assertEquals(
        -1,
        slot.ram().mismatch(MemorySegment.ofArray(bytes)),
        () -> when + ": " + slot + " differs");
  }

  static void assertSame(Map<Integer, SlotModel> models, String when) {
    models.values().forEach(model -> model.assertSame(when));
  }
}
