package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Random changes of slots under four writing vCPUs and a device: every write is found, or handed to
 * the remover. {@code -Dsmudge.slotChanges} sets how many changes.
 */
@Timeout(600)
class SlotChurnTest {
  private static final int CHANGES = Integer.getInteger("smudge.slotChanges", 150);
  private static final int VCPUS = 4;

  @ParameterizedTest
  @EnumSource
  void bug18_randomChangesUnderWriters_everyWriteIsFoundOrHandedToTheRemover(LogKind kind) {
    Random random = TestRandom.of("slot churn, " + kind);
    try (SlotChurn churn = new SlotChurn(kind.memory(), random, VCPUS)) {
      do { // until they have written meanwhile, which takes longer on a busy machine
        assertEquals(0, churn.run(CHANGES, 16), "bytes that no client and no remover was told of");
      } while (churn.writes.get() <= CHANGES);
      System.out.println(
          kind + ": " + churn.changes + " changes, about " + churn.writes + " writes");
    }
  }

  /** The old slots are looked at no more once they are unlinked. */
  private static final class NoMerge extends ForwardingTracker {
    private final Set<TrackedSlot> gone = ConcurrentHashMap.newKeySet();
    @Nullable SlotChurn churn;

    NoMerge(Tracker backend) {
      super(backend);
    }

    /** Until vCPUs have written here, where all cores may be busy with others. */
    private void letWrite() {
      SlotChurn under = churn;
      long end = System.nanoTime() + 500_000;
      long before = under == null ? 0 : under.writes.get();
      while (under != null && under.writes.get() - before < 200 && System.nanoTime() - end < 0) {
        LockSupport.parkNanos(10_000);
      }
    }

    @Override
    protected void remove(TrackedSlot slot, SlotTracker to) {
      super.remove(slot, to);
      gone.add(slot);
      letWrite();
    }

    @Override
    protected void collect(TrackedSlot slot, SlotTracker to, PageWordConsumer sink) {
      if (!gone.contains(slot)) {
        super.collect(slot, to, sink);
      }
    }
  }

  @Test
  void weakened_noMergeAfterTheHandshake_lossIsSeen() {
    Random random = TestRandom.of("slot churn without the merge");
    NoMerge[] tracker = new NoMerge[1];
    GuestMemory memory =
        GuestMemory.over(
            LogKind.BITMAP
                .builder()
                .interceptTracker(real -> tracker[0] = new NoMerge(real))
                .build());
    try (SlotChurn churn = new SlotChurn(memory, random, VCPUS)) {
      tracker[0].churn = churn;
      long missing = churn.run(20_000, 1);
      System.out.println("without the merge: " + missing + " after " + churn.changes + " changes");
      assertTrue(missing > 0, "no loss in " + churn.changes + " changes");
    }
  }
}
