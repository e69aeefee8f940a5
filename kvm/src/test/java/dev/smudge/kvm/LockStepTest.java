package dev.smudge.kvm;

import dev.smudge.testkit.ClearsAll;
import dev.smudge.testkit.LockStep;
import dev.smudge.testkit.SoftwareMachine;
import java.io.IOException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The kernel does what the software trackers do. */
@RequiresKvm
@Timeout(600)
class LockStepTest {
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void anyScript_bothBackends_doTheSame(boolean ring) throws IOException {
    LockStep lockStep =
        ring
            ? new LockStep("kvm-ring", SoftwareMachine::withRing, KvmMachine::withRing)
            : new LockStep("kvm-bitmap", SoftwareMachine::withBitmaps, KvmMachine::withBitmaps);
    lockStep.assertSame();
  }

  /** That the test can fail. */
  @Test
  void clearOfMoreThanWasFetched_isFoundAndShrunk() {
    new LockStep(
            "kvm-clears-all",
            SoftwareMachine::withBitmaps,
            between -> KvmMachine.withBitmaps(real -> between.apply(new ClearsAll(real))))
        .assertFindsFault();
  }
}
