package dev.smudge.kvm;

import dev.smudge.testkit.TrackerContract;

@RequiresKvm
class KvmContractTest extends TrackerContract {
  KvmContractTest() {
    super(KvmMachine::withBitmaps);
  }
}
