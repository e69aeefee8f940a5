package dev.smudge.kvm;

@RequiresKvm
class KvmRingContractTest extends TrackerContract {
  KvmRingContractTest() {
    super(TestMachine.Kind.KVM_RING);
  }
}
