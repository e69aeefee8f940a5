package dev.smudge.kvm;

class SoftwareContractTest extends TrackerContract {
  SoftwareContractTest() {
    super(SoftwareMachine::withBitmaps);
  }
}
