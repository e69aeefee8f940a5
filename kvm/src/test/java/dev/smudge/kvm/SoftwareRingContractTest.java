package dev.smudge.kvm;

class SoftwareRingContractTest extends BackendContract {
  SoftwareRingContractTest() {
    super(TestMachine.Kind.SOFTWARE_RING);
  }
}
