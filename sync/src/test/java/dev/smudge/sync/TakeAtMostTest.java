package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** Takes of a bounded number of pages, which go round all slots. */
@ParameterizedClass
@EnumSource(Mode.class)
class TakeAtMostTest {
  private static final int PAGE = 4096;
  private final DirtyLog log;

  TakeAtMostTest(Mode mode) {
    log = mode.builder().build();
  }

  @Test
  void takeAtMost_dirtyPagesInThreeSlots_goesRoundAndReachesEachOnce() {
    log.addSlot(0, 10, PAGE);
    log.addSlot(5, 7, PAGE);
    log.addSlot(2, 64, PAGE);
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    List<String> got = new ArrayList<>();
    for (int round = 0; round < 27; round++) {
      try (DirtyBatch<LogSlot> batch = client.takeAtMost(3)) {
        assertEquals(3, batch.pageCount());
        batch.forEachRun((slot, first, count) -> {
          for (long p = first; p < first + count; p++) {
            got.add(slot.id() + ":" + p);
          }
        });
        batch.commit();
      }
    }
    List<String> expected = new ArrayList<>();
    Dirty.range(0, 10).forEach(p -> expected.add("0:" + p));
    Dirty.range(0, 7).forEach(p -> expected.add("5:" + p));
    Dirty.range(0, 64).forEach(p -> expected.add("2:" + p));
    assertEquals(expected, got);
    try (DirtyBatch<LogSlot> batch = client.takeAtMost(1)) {
      assertEquals(0, batch.pageCount());
    }
  }

  @Test
  void takeAtMost_hotPagesAtTheStart_othersAreReachedAllTheSame() {
    LogSlot slot = log.addSlot(0, 200, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    Set<Long> got = new HashSet<>();
    for (int round = 0; round < 40; round++) {
      vcpu.mark(slot, 0, 10 * PAGE);
      try (DirtyBatch<LogSlot> batch = client.takeAtMost(7)) {
        got.addAll(Dirty.pages(batch, 0));
        batch.commit();
      }
    }
    assertEquals(Dirty.range(0, 200), got);
  }

  @Test
  void takeAtMost_pagesBehindTheCursorOnly_areTakenByTheSameCall() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    vcpu.mark(slot, 50 * PAGE, 1);
    try (DirtyBatch<LogSlot> batch = client.takeAtMost(1)) {
      assertEquals(Set.of(50L), Dirty.pages(batch, 0));
      batch.commit();
    }
    vcpu.mark(slot, 3 * PAGE, 1);
    vcpu.mark(slot, 90 * PAGE, 1);
    try (DirtyBatch<LogSlot> batch = client.takeAtMost(2)) {
      assertEquals(Set.of(3L, 90L), Dirty.pages(batch, 0));
    }
    try (DirtyBatch<LogSlot> batch = client.takeAtMost(1)) {
      assertEquals(Set.of(90L), Dirty.pages(batch, 0), "the cursor is behind page 3");
    }
  }

  @Test
  void takeAtMost_noSlots_givesAnEmptyBatch() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    try (DirtyBatch<LogSlot> batch = client.takeAtMost(5)) {
      assertEquals(0, batch.pageCount());
    }
    assertThrows(IllegalArgumentException.class, () -> client.takeAtMost(0));
    assertThrows(IllegalArgumentException.class, () -> client.takeAtMost(-1));
  }
}
