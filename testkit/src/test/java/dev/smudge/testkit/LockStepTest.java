package dev.smudge.testkit;

import java.io.IOException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The runner itself, where a difference can only come from a fault that was planted. */
@Timeout(600)
class LockStepTest {
  @Test
  void assertSame_bothWithBitmaps_passes() throws IOException {
    new LockStep("bitmap", SoftwareMachine::withBitmaps, SoftwareMachine::withBitmaps).assertSame();
  }

  @Test
  void assertSame_bothWithRings_passes() throws IOException {
    new LockStep("ring", SoftwareMachine::withRing, SoftwareMachine::withRing).assertSame();
  }

  @Test
  void clearOfMoreThanWasFetched_isFoundAndShrunk() {
    new LockStep(
            "clears-all",
            SoftwareMachine::withBitmaps,
            between -> SoftwareMachine.withBitmaps(real -> between.apply(new ClearsAll(real))))
        .assertFindsFault();
  }
}
