package dev.smudge.kvm;

class SoftwareRingContractTest extends TrackerContract {
  SoftwareRingContractTest() {
    super(SoftwareMachine::withRing);
  }
}
