package dev.smudge.mmu;

import dev.smudge.testkit.Storm;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The storm over the MMU. {@code -Dsmudge.stormSeconds} sets how long it rages. */
@RequiresMmu
@Timeout(3600)
class StormTest {
  @Test
  void mmu_nothingIsLost() {
    Storm.assertNothingIsLost("the MMU", MmuMachine::withVcpu, 2);
  }
}
