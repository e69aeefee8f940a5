package dev.smudge.kvm;

@RequiresKvm
class KvmRingContractTest extends TrackerContract {
  KvmRingContractTest() {
    super(KvmMachine::withRing);
  }
}
