package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** A slot is replaced while a device still writes through the old one. */
class DeviceSlotReplacedTest extends DeviceTrackerCase {
  @Test
  void slotIsReplaced_writesThroughTheOldOneUntilTheWalk_areKept() {
    Device device = new Device("d");
    log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    device.write(slot, 5);
    device.write(slot, 6);
    log.sync(); // told, not cleared: a write there is not told again
    SlotChange change = log.change();
    LogSlot next = change.add(0, 100, PAGE);
    change.remove(slot).carry(slot, 0, next, 0, 100);
    calls.clear();
    var removed =
        change.commit(
            () -> {},
            () -> {
              assertEquals(
                  Set.of(5L, 6L), Dirty.take(a)); // of the new slot: not cleared in the old log
              device.write(slot, 5);
              device.write(slot, 7);
              device.write(slot, 150);
            });
    assertEquals(List.of("d start 0", "d stop 0"), calls());
    assertTrue(Dirty.take(a).containsAll(Set.of(5L, 7L)));
    List<Long> handed = new ArrayList<>();
    removed.get(0).forEachRun((s, first, count) -> handed.add(first));
    assertEquals(List.of(150L), handed);
    device.write(next, 8);
    assertEquals(Set.of(8L), Dirty.take(a));
  }

  @Test
  void slotIsReplaced_noCollectSucceeds_everyPageIsDirty() {
    Device device = new Device("d");
    log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    device.write(slot, 5);
    device.failsAt = "before collect"; // whatever it has written, it does not say so any more
    SlotChange change = log.change();
    LogSlot next = change.add(0, 200, PAGE);
    change.remove(slot).carry(slot, 0, next, 0, 200).commit();
    assertEquals(List.of(slot.slot.entryId()), List.copyOf(device.gone));
    device.failsAt = "";
    assertEquals(200, Dirty.take(a).size());
    assertEquals(Set.of(), Dirty.take(a));
  }

  /** The guest may stop for its last take before the old slot is retired. */
  @Test
  void slotIsReplaced_eachWriteThroughTheOldOne_isInTheNextTakeAlready() {
    Device device = new Device("d");
    log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    SlotChange change = log.change();
    LogSlot next = change.add(0, 200, PAGE);
    change.remove(slot).carry(slot, 0, next, 0, 200);
    change.commit(
        () -> {},
        () -> {
          for (int i = 0; i < 3; i++) {
            device.write(slot, 5);
            assertEquals(Set.of(5L), Dirty.take(a), "before the grace period is over");
          }
        });
  }

  @Test
  void slotIsReplaced_commitFails_deviceKeepsTheOldOne() {
    TestTracker backend = new TestTracker();
    DirtyLog other = DirtyLog.builder().interceptTracker(backend::over).build();
    LogSlot there = other.addSlot(0, 200, PAGE);
    Device device = new Device("d");
    other.addTracker(0, device);
    DirtyClient<LogSlot> a = other.client("a", InitialView.NONE_DIRTY);
    for (int point = 0; ; point++) {
      device.write(there, point);
      SlotChange change = other.change();
      LogSlot next = change.add(0, 200, PAGE);
      change.remove(there).carry(there, 0, next, 0, 200);
      backend.untilFault.set(point);
      try {
        change.commit();
        backend.untilFault.set(-1);
        assertTrue(point > 5);
        break;
      } catch (TestTracker.Fault e) {
        backend.untilFault.set(-1);
        if (other.slot(0) == next) {
          break; // made, and the fault came later
        }
        assertEquals(Set.of(there.slot.entryId()), device.bits.keySet(), "point " + point);
        assertTrue(Dirty.take(a).contains((long) point), "point " + point);
      }
    }
  }
}
