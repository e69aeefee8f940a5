package dev.smudge.mmu;

import dev.smudge.testkit.TrackerContract;

@RequiresMmu
class MmuContractTest extends TrackerContract {
  MmuContractTest() {
    super(MmuMachine::withVcpu);
  }
}
