package dev.smudge.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The expected numbers are those that the C preprocessor makes of the kernel's headers. */
class IoctlNumberTest {
  @Test
  void io_createVm_isTheKernelsNumber() {
    assertEquals(0xAE01, IoctlNumber.io(0xAE, 0x01)); // KVM_CREATE_VM
  }

  @Test
  void iow_getDirtyLog_isTheKernelsNumber() {
    assertEquals(0x4010_AE42, IoctlNumber.iow(0xAE, 0x42, 16)); // KVM_GET_DIRTY_LOG
  }

  @Test
  void ior_getRegs_isTheKernelsNumber() {
    assertEquals(0x8090_AE81L, IoctlNumber.ior(0xAE, 0x81, 144)); // KVM_GET_REGS
  }

  @Test
  void iowr_clearDirtyLogAndPagemapScan_areTheKernelsNumbers() {
    assertEquals(0xC018_AEC0L, IoctlNumber.iowr(0xAE, 0xC0, 24)); // KVM_CLEAR_DIRTY_LOG
    assertEquals(0xC060_6610L, IoctlNumber.iowr('f', 16, 96)); // PAGEMAP_SCAN
  }

  @ParameterizedTest
  @ValueSource(longs = {0, 1, 16_383})
  void iow_sizeInRange_isTaken(long size) {
    assertEquals(size, IoctlNumber.iow(0xFF, 0xFF, size) >> 16 & 0x3FFF);
  }

  @ParameterizedTest
  @CsvSource({"256, 0, 0", "-1, 0, 0", "0, 256, 0", "0, -1, 0", "0, 0, 16384", "0, 0, -1"})
  void iow_argumentOutOfRange_isRefused(int type, int number, long size) {
    assertThrows(IllegalArgumentException.class, () -> IoctlNumber.iow(type, number, size));
  }
}
