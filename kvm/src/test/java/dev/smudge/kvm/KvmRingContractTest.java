package dev.smudge.kvm;

import dev.smudge.testkit.TrackerContract;

@RequiresKvm
class KvmRingContractTest extends TrackerContract {
  KvmRingContractTest() {
    super(KvmMachine::withRing);
  }
}
