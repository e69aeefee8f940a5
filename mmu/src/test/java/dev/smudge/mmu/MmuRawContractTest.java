package dev.smudge.mmu;

import dev.smudge.testkit.TrackerContract;

/** A guest that tells nobody of its stores. */
@RequiresMmu
class MmuRawContractTest extends TrackerContract {
  MmuRawContractTest() {
    super(MmuMachine::raw);
  }
}
