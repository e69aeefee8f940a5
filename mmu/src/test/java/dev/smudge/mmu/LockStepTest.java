package dev.smudge.mmu;

import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import dev.smudge.testkit.LockStep;
import dev.smudge.testkit.SoftwareMachine;
import java.io.IOException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The MMU does what software marks do. */
@RequiresMmu
@Timeout(600)
class LockStepTest {
  @Test
  void anyScript_marksAndMmu_doTheSame() throws IOException {
    new LockStep("mmu", SoftwareMachine::withBitmaps, MmuMachine::withVcpu)
        .withoutTakeSynced()
        .assertSame();
  }

  @Test
  void anyScript_marksAndRawStores_doTheSame() throws IOException {
    new LockStep("mmu-raw", SoftwareMachine::withBitmaps, MmuMachine::raw)
        .withoutTakeSynced()
        .assertSame();
  }

  /** Clears nothing of the first word: pages stay set for ever. */
  private static final class ClearsNothing extends ForwardingTracker {
    ClearsNothing(Tracker tracker) {
      super(tracker);
    }

    @Override
    protected void clear(
        TrackedSlot slot, SlotTracker to, long firstPage, long pageCount, long[] bitmap) {}
  }

  /** That the test can fail. */
  @Test
  void pagesThatAreNotCleared_areFoundAndShrunk() {
    new LockStep(
            "mmu-clears-nothing",
            SoftwareMachine::withBitmaps,
            between -> MmuMachine.raw(real -> between.apply(new ClearsNothing(real))))
        .assertFindsFault();
  }
}
