package dev.smudge.kvm;

@RequiresKvm
class KvmRingContractTest extends BackendContract {
  KvmRingContractTest() {
    super(TestMachine.Kind.KVM_RING);
  }
}
