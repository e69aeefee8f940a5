package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.sync.DirtyLog;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The guest's byte order is the memory's: vCPUs, their atomics and devices use it. */
class ByteOrderTest {
  private static final long BASE = 0x1000;
  private static final long VALUE = 0x0123_4567_89ab_cdefL;

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void accessors_eachWidthAndOffset_layBytesInTheMemorysOrder(boolean big) {
    ByteOrder order = big ? ByteOrder.BIG_ENDIAN : ByteOrder.LITTLE_ENDIAN;
    try (GuestMemory memory = GuestMemory.over(DirtyLog.create(), order)) {
      ByteBuffer ram = memory.addSlot(0, BASE, 4096).ram().asByteBuffer().order(order);
      try (Vcpu vcpu = memory.addVcpu()) {
        VcpuAtomics atomics = vcpu.atomics();
        for (int offset = 0; offset < 16; offset++) {
          vcpu.putShort(BASE + offset, (short) VALUE);
          assertEquals((short) VALUE, ram.getShort(offset));
          vcpu.putInt(BASE + offset, (int) VALUE);
          assertEquals((int) VALUE, ram.getInt(offset));
          vcpu.putLong(BASE + offset, VALUE);
          assertEquals(VALUE, ram.getLong(offset));
          assertEquals(ram.getShort(offset), vcpu.getShort(BASE + offset));
          assertEquals(ram.getInt(offset), vcpu.getInt(BASE + offset));
          assertEquals(ram.getLong(offset), vcpu.getLong(BASE + offset));
          memory.device().putInt(BASE + offset, (int) ~VALUE);
          assertEquals((int) ~VALUE, ram.getInt(offset));
          memory.device().putLong(BASE + offset, ~VALUE);
          assertEquals(~VALUE, ram.getLong(offset));
        }
        atomics.putVolatile(BASE, 8, VALUE);
        assertEquals(VALUE, ram.getLong(0));
        atomics.getAndAdd(BASE, 2, 1);
        assertEquals((short) ((VALUE >>> (big ? 48 : 0)) + 1), ram.getShort(0));
        assertEquals(ram.getInt(0) & 0xffff_ffffL, atomics.getVolatile(BASE, 4));
      }
    }
  }
}
