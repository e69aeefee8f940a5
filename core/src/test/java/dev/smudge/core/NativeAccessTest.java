package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The tests of this module run twice: stores through the segment, and by raw address. */
@Timeout(120)
class NativeAccessTest {
  @Test
  void nativeAccess_isGrantedInTheRunThatIsForIt() {
    assertEquals(Boolean.getBoolean("smudge.raw"), Vcpu.class.getModule().isNativeAccessEnabled());
  }
}
