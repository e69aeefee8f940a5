package dev.smudge.testkit;

class SoftwareRingContractTest extends TrackerContract {
  SoftwareRingContractTest() {
    super(SoftwareMachine::withRing);
  }
}
