package dev.smudge.kvm;

import dev.smudge.testkit.Storm;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The storm over the kernel's trackers. {@code -Dsmudge.stormSeconds} sets how long each rages. */
@RequiresKvm
@Timeout(3600)
class StormTest {
  @Test
  void bitmaps_nothingIsLost() {
    Storm.assertNothingIsLost("KVM's bitmaps", KvmMachine::withBitmaps, 0);
  }

  @Test
  void rings_nothingIsLost() {
    Storm.assertNothingIsLost("KVM's rings", KvmMachine::withRing, 0);
  }
}
