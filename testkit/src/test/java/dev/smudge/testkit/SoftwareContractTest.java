package dev.smudge.testkit;

class SoftwareContractTest extends TrackerContract {
  SoftwareContractTest() {
    super(SoftwareMachine::withBitmaps);
  }
}
