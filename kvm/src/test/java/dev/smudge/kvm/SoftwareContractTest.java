package dev.smudge.kvm;

class SoftwareContractTest extends BackendContract {
  SoftwareContractTest() {
    super(TestMachine.Kind.SOFTWARE);
  }
}
