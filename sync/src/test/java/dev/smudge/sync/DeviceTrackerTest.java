package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Trackers of devices beside the vCPUs: nothing that they tell is lost, and none disturbs the
 * others.
 */
class DeviceTrackerTest extends DeviceTrackerCase {
  @Test
  void device_pagesTold_reachEveryClientAndNoBackendClear() {
    TestTracker backend = new TestTracker();
    DirtyLog other = DirtyLog.builder().interceptTracker(backend::over).build();
    LogSlot there = other.addSlot(0, 200, PAGE);
    Device device = new Device("d");
    other.addTracker(0, device);
    DirtyClient<LogSlot> a = other.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = other.client("b", InitialView.NONE_DIRTY);
    backend.calls.clear();
    device.write(there, 3);
    device.write(there, 199);
    assertEquals(Set.of(3L, 199L), Dirty.take(a));
    assertEquals(Set.of(3L, 199L), Dirty.take(b));
    assertEquals(Set.of(), Dirty.take(a));
    assertEquals(0, backend.count("clear"));
    device.write(there, 3);
    assertEquals(Set.of(3L), Dirty.take(a));
  }

  @Test
  void bug03_doubleClearOfADevice_writeAfterTheFirstClearIsKept() {
    Device device = new Device("d");
    log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    device.write(slot, 5);
    log.sync(); // told to both
    assertEquals(Set.of(5L), Dirty.take(a)); // cleared
    device.write(slot, 5);
    try (DirtyBatch<LogSlot> batch = b.takeSynced()) { // by its old copy: clears nothing
      assertEquals(1, batch.pageCount());
      batch.commit();
    }
    assertEquals(Set.of(5L), Dirty.take(a));
    assertEquals(Set.of(5L), Dirty.take(b));
    assertEquals(2, calls.stream().filter("d clear 5"::equals).count());
  }

  @Test
  void bug04_clearOfOnePage_othersOfTheWordStayToldAndUncleared() {
    Device device = new Device("d");
    log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    for (int page = 0; page < 64; page++) {
      device.write(slot, page);
    }
    try (DirtyBatch<LogSlot> batch = a.takeRange(log.slot(0), 5, 5)) {
      assertEquals(5, batch.pageCount());
      batch.commit();
    }
    assertEquals(59, device.bits(slot).cardinality());
    assertEquals(59, Dirty.take(a).size());
  }

  @Test
  void noneDirtyStart_toldPages_clearedForTheNewKeptForTheOthers() {
    Device device = new Device("d");
    log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    device.write(slot, 7);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    assertTrue(device.bits(slot).isEmpty());
    device.write(slot, 8);
    assertEquals(Set.of(7L, 8L), Dirty.take(a));
    assertEquals(Set.of(8L), Dirty.take(b));
  }

  @Test
  void discardAndSeal_toldPages_clearedInTheSource() {
    Device device = new Device("d");
    log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    device.write(slot, 7);
    a.discard(log.slot(0), 0, 10);
    assertTrue(device.bits(slot).isEmpty());
    assertEquals(Set.of(), Dirty.take(a));
    assertEquals(Set.of(7L), Dirty.take(b));
    device.write(slot, 9);
    log.seal();
    assertTrue(device.bits(slot).isEmpty());
    assertEquals(Set.of(9L), Dirty.take(a));
  }

  @Test
  void startLog_secondFails_firstIsStoppedAndThereIsNoClient() {
    Device first = new Device("1");
    Device second = new Device("2");
    Device third = new Device("3");
    log.addTracker(2, third);
    log.addTracker(0, first);
    log.addTracker(1, second);
    third.failsAt = "startLog";
    var e = assertThrows(TestTracker.Fault.class, () -> log.client("a", InitialView.ALL_DIRTY));
    assertEquals("3 startLog", e.getMessage());
    assertEquals(
        List.of("1 startLog", "2 startLog", "3 startLog", "2 stopLog", "1 stopLog"), calls());
    third.failsAt = "";
    DirtyClient<LogSlot> a = log.client("a", InitialView.ALL_DIRTY);
    assertEquals(
        List.of("1 startLog", "2 startLog", "3 startLog", "1 start 0", "2 start 0", "3 start 0"),
        calls());
    a.close();
    assertEquals(
        List.of("3 stop 0", "3 stopLog", "2 stop 0", "2 stopLog", "1 stop 0", "1 stopLog"),
        calls());
    assertEquals(List.of(), errors);
  }

  @Test
  void addTracker_startFails_notThere() {
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    Device device = new Device("d");
    device.failsAt = "startLog";
    assertThrows(TestTracker.Fault.class, () -> log.addTracker(0, device));
    assertEquals(Set.of(), Dirty.take(a));
    assertEquals(List.of("d startLog"), calls());
  }

  @ParameterizedTest
  @ValueSource(strings = {"before collect", "collect", "clear", "afterSync", "start 0"})
  void deviceThrows_othersAreCalledAndNoWriteIsLost(String where) {
    Device bad = new Device("bad");
    Device good = new Device("good");
    bad.failsAt = where;
    log.addTracker(0, bad);
    log.addTracker(1, good);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    bad.write(slot, 1);
    good.write(slot, 2);
    assertTrue(Dirty.take(a).containsAll(Set.of(1L, 2L)));
    assertFalse(errors.isEmpty());
    bad.write(slot, 1); // not armed perhaps
    assertTrue(Dirty.take(a).contains(1L));
    assertTrue(Dirty.take(b).containsAll(Set.of(1L, 2L)));
    bad.failsAt = "";
    if (!where.startsWith("start")) {
      Dirty.take(a);
      Dirty.take(b);
      assertEquals(Set.of(), Dirty.take(a));
      assertEquals(Set.of(), Dirty.take(b));
    }
    bad.write(slot, 1);
    good.write(slot, 2);
    assertTrue(Dirty.take(a).containsAll(Set.of(1L, 2L)));
  }

  @ParameterizedTest
  @ValueSource(strings = {"collect", "clear"})
  void stackEndsInADevice_setsAreDoubted(String where) {
    Device device = new Device("d");
    log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> b = log.client("b", InitialView.NONE_DIRTY);
    device.write(slot, 5);
    device.failsAt = where;
    device.stackEnds = new StackOverflowError("of a device");
    Dirty.take(a);
    device.failsAt = "";
    Dirty.take(a);
    assertEquals(200, Dirty.take(b).size(), "in a set, perhaps, which is wrong then");
  }

  @Test
  void collect_wordOutsideTheSlot_reportedAndEveryPageIsDirty() {
    Device device = new Device("d");
    log.addTracker(0, device);
    DirtyClient<LogSlot> a = log.client("a", InitialView.NONE_DIRTY);
    device.write(slot, 5);
    device.write(slot, 201); // in the last word, past the end: ignored
    device.write(slot, 1000);
    assertEquals(200, Dirty.take(a).size());
    assertEquals(1, errors.size());
    assertNull(errors.get(0).getCause());
  }
}
