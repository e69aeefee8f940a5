package dev.smudge.kvm;

class SoftwareRingContractTest extends TrackerContract {
  SoftwareRingContractTest() {
    super(TestMachine.Kind.SOFTWARE_RING);
  }
}
