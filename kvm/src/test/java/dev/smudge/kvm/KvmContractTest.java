package dev.smudge.kvm;

@RequiresKvm
class KvmContractTest extends TrackerContract {
  KvmContractTest() {
    super(KvmMachine::withBitmaps);
  }
}
