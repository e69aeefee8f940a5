package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.internal.software.HalfDoneMark;
import dev.smudge.sync.internal.software.VcpuMarks;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** docs/bugs.md row 12: entries that name what is not there: deleted, shrunk, foreign or forged. */
class RingForgedTest {
  private static final int PAGE = 4096;

  private static DirtyLog log() {
    return DirtyLog.builder().ring(64, 0, RingFullPolicy.SPILL).build();
  }

  @Test
  void bug12_forgedEntries_areCountedAndIgnoredAndNothingIsIndexed() {
    DirtyLog log = log();
    LogSlot slot = log.addSlot(0, 70, PAGE);
    LogSlot other = log.addSlot(9, 70, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    VcpuMarks ring = vcpu.marks();
    vcpu.mark(slot, 3 * PAGE, 1);
    int forged = 0;
    for (int id : new int[] {1, 8, 10, 0xffff, 32_763, 32_764, -1, Integer.MIN_VALUE, 1 << 16}) {
      forged += HalfDoneMark.push(ring, id, 3) ? 1 : 0;
    }
    for (long page :
        new long[] {
          70, 71, 127, 128, 1L << 32, 1L << 40, (1L << 40) + 5, -1, -63, Long.MIN_VALUE, ~0L << 6
        }) {
      forged += HalfDoneMark.push(ring, 9, page) ? 1 : 0;
      forged += HalfDoneMark.push(ring, 0, page) ? 1 : 0;
    }
    vcpu.mark(other, 69 * PAGE, 1);
    log.sync();
    assertEquals(forged + 2, log.counters().ringEntries());
    assertEquals(2, log.counters().dirtyPages());
    assertEquals(2, client.dirtyPages());
    try (DirtyBatch<LogSlot> batch = client.take()) {
      assertEquals(Set.of(3L), Dirty.pages(batch, 0));
      assertEquals(Set.of(69L), Dirty.pages(batch, 9));
      batch.commit();
    }
    vcpu.mark(other, 0, 70 * PAGE); // the live bitmap is as it should be
    assertEquals(70, Dirty.madeBy(vcpu) - 2);
    assertEquals(72, Dirty.madeBy(vcpu));
  }

  /** A page that is in the slot, and was not written: dirty, and armed; no harm. */
  @Test
  void bug12_entryOfAPageThatIsClean_itsNextWriteIsReported() {
    DirtyLog log = log();
    LogSlot slot = log.addSlot(0, 70, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    assertTrue(HalfDoneMark.push(vcpu.marks(), 0, 69));
    assertEquals(Set.of(69L), Dirty.take(client));
    vcpu.mark(slot, 69 * PAGE, 1);
    assertEquals(Set.of(69L), Dirty.take(client));
  }

  @Test
  void bug12_slotGoneAndAnotherSmallerOneThere_entriesOfTheOldAreIgnored() {
    DirtyLog log = log();
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    LogSlot gone = log.addSlot(0, 1_000, PAGE);
    Dirty.take(client);
    vcpu.mark(gone, 0, PAGE);
    vcpu.mark(gone, 999L * PAGE, PAGE);
    vcpu.offline();
    RemovedSlot<LogSlot> removed = log.change().remove(gone).commit().get(0);
    assertEquals(2, removed.dirtyPages());
    push(vcpu, gone);
    log.sync();
    assertEquals(4, log.counters().ringEntries(), "of no slot");
    assertEquals(2, removed.dirtyPages());
    LogSlot slot = log.addSlot(0, 10, PAGE);
    assertEquals(10, Dirty.take(client).size());
    push(vcpu, gone);
    assertEquals(Set.of(), Dirty.take(client));
    assertEquals(6, log.counters().ringEntries());
    vcpu.mark(slot, 9 * PAGE, 1);
    assertEquals(Set.of(9L), Dirty.take(client));
  }

  /** As a vCPU would that was stopped in the middle and goes on much later. */
  private static void push(LogVcpu vcpu, LogSlot slot) {
    assertTrue(HalfDoneMark.push(vcpu.marks(), slot.slot.entryId(), 0));
    assertTrue(HalfDoneMark.push(vcpu.marks(), slot.slot.entryId(), 999));
  }
}
