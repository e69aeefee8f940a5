package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Set;
import org.junit.jupiter.api.Test;

/** A log without vCPUs: whoever calls has stopped the guest. */
class StoppedLogTest {
  @Test
  void stoppedLog_markAndTake_needsNoVcpu() {
    DirtyLog stopped = DirtyLog.builder().buildStopped();
    LogSlot cells = stopped.addSlot(0, 100, 256);
    DirtyClient<LogSlot> client = stopped.client("rewind", InitialView.NONE_DIRTY);
    stopped.mark(cells, 255, 2);
    assertEquals(Set.of(0L, 1L), Dirty.take(client));
    stopped.mark(cells, 255, 1);
    assertEquals(Set.of(0L), Dirty.take(client));
    assertThrows(IllegalStateException.class, stopped::addVcpu);
  }

  @Test
  void stoppedLog_markOfASlotThatIsMarked_refusesAnotherLogsAndOneThatIsGone() {
    DirtyLog stopped = DirtyLog.builder().buildStopped();
    LogSlot others =
        DirtyLog.builder().buildStopped().addSlot(0, 100, 256); // no client: all are marked
    assertThrows(IllegalArgumentException.class, () -> stopped.mark(others, 0, 1));
    LogSlot gone = stopped.addSlot(0, 100, 256);
    stopped.mark(gone, 0, 1);
    stopped.change().remove(gone).commit();
    assertThrows(IllegalArgumentException.class, () -> stopped.mark(gone, 0, 1));
  }

  @Test
  void buildStopped_changes_needNoVcpu() {
    DirtyLog stopped = DirtyLog.builder().buildStopped();
    LogSlot slot = stopped.addSlot(0, 100, 1);
    DirtyClient<LogSlot> client = stopped.client("c", InitialView.NONE_DIRTY);
    stopped.mark(slot, 7, 1);
    SlotChange change = stopped.change().remove(slot);
    LogSlot to = change.add(0, 50, 1);
    change.carry(slot, 5, to, 0, 50).commit(() -> {}, () -> {});
    assertEquals(Set.of(2L), Dirty.take(client));
    stopped.mark(to, 49, 1);
    assertEquals(Set.of(49L), Dirty.take(client));
  }
}
