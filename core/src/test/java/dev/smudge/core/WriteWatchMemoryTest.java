package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.ApiMethods.Call;
import dev.smudge.core.ApiMethods.Effect;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.RemovedSlot;
import dev.smudge.sync.watch.PageWatch;
import dev.smudge.sync.watch.WriteWatch;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Every way to write guest memory through the API tells watches, once, after the bytes landed. */
@Timeout(60)
class WriteWatchMemoryTest {
  private record Told(long at, long length) {}

  private final TestGuest guest = new TestGuest();
  private final List<Told> told = new ArrayList<>();

  @AfterEach
  void close() {
    guest.vcpu.close();
    guest.close();
  }

  private void tell(long at, long length) {
    told.add(new Told(at, length));
    for (long byteAt = at; byteAt < at + length; byteAt++) {
      assertNotEquals(TestGuest.FILLED, guest.memory.device().getByte(byteAt), "not landed yet");
    }
  }

  private void assertTold(Told... writes) {
    assertEquals(List.of(writes), told);
    told.clear();
  }

  static List<Call> writers() {
    return ApiMethods.all()
        .filter(call -> call.effect() != Effect.NONE || call.method().contains("writeAs"))
        .toList();
  }

  private static long address(Call call) {
    return TestGuest.LOW + 3 * TestGuest.PAGE + (call.aligned() ? 8 : 3);
  }

  @ParameterizedTest
  @MethodSource("writers")
  void everyWrite_isToldAfterItLanded(Call call) {
    long address = address(call);
    Told write = new Told(address, call.length());
    try (WriteWatch bytes = guest.memory.watchBytes(address + call.length() - 1, 1, this::tell)) {
      for (int turn = 0; turn < 2; turn++) {
        call.action().run(guest, address);
        assertTold(write);
        guest.refill();
      }
      call.action().run(guest, address + 8);
      assertEquals(call.length() == 600 ? 1 : 0, told.size());
      told.clear();
      assertFalse(bytes.isEnded());
    }
  }

  /** What a listener throws comes out once every page of the write is marked, in every slot. */
  @ParameterizedTest
  @MethodSource("writers")
  void listenerThatThrows_everyPageIsMarked(Call call) {
    if (call.length() != 600 || call.method().contains("writeAs")) {
      return; // writes one slot, or is known to the client
    }
    IllegalStateException mine = new IllegalStateException("mine");
    WriteWatch watch =
        guest.memory.watchBytes(
            TestGuest.NEXT - 1,
            1,
            (at, length) -> {
              throw mine;
            });
    long address = TestGuest.NEXT - 300;
    assertSame(
        mine, assertThrows(IllegalStateException.class, () -> call.action().run(guest, address)));
    assertEquals(Dirty.pages(guest.memory, address, 600), Dirty.take(guest.client));
    watch.close();
  }

  /** What the listener of one slot throws does not keep those of the next from being told. */
  @ParameterizedTest
  @MethodSource("writers")
  void listenerThatThrows_watchesOfTheOtherSlotAreTold(Call call) {
    if (call.aligned() || call.length() < 2) {
      return; // goes over no border
    }
    IllegalStateException mine = new IllegalStateException("mine");
    WriteWatch low =
        guest.memory.watchBytes(
            TestGuest.NEXT - 1,
            1,
            (at, length) -> {
              throw mine;
            });
    PageWatch next = guest.memory.watchPages(guest.next, this::tell);
    next.arm(TestGuest.NEXT, 1);
    long half = call.length() / 2;
    assertSame(
        mine,
        assertThrows(
            IllegalStateException.class, () -> call.action().run(guest, TestGuest.NEXT - half)));
    assertTold(new Told(TestGuest.NEXT, call.length() - half));
    low.close();
    next.close();
  }

  @ParameterizedTest
  @MethodSource("writers")
  void firstWriteToAPage_isToldAfterItLanded(Call call) {
    long address = address(call);
    PageWatch pages = guest.memory.watchPages(guest.low, this::tell);
    pages.arm(address, call.length());
    call.action().run(guest, address);
    assertTold(new Told(address, call.length()));
    guest.refill();
    call.action().run(guest, address);
    guest.vcpu.safepoint();
    guest.refill();
    call.action().run(guest, address);
    assertTold();
    pages.close();
  }

  @ParameterizedTest
  @MethodSource("writers")
  void writeOverTheBorderOfTwoSlots_isToldForEach(Call call) {
    if (call.aligned() || call.length() < 2) {
      return; // goes over no border
    }
    long half = call.length() / 2;
    WriteWatch low = guest.memory.watchBytes(TestGuest.NEXT - 1, 1, this::tell);
    WriteWatch next = guest.memory.watchBytes(TestGuest.NEXT, 1, this::tell);
    call.action().run(guest, TestGuest.NEXT - half);
    assertTold(
        new Told(TestGuest.NEXT - half, half), new Told(TestGuest.NEXT, call.length() - half));
    low.close();
    next.close();
  }

  static List<Call> others() {
    return ApiMethods.all()
        .filter(call -> call.effect() == Effect.NONE && !call.method().contains("writeAs"))
        .toList();
  }

  @ParameterizedTest
  @MethodSource("others")
  void whatWritesNothing_isNotTold(Call call) {
    WriteWatch all = guest.memory.watchBytes(TestGuest.LOW, TestGuest.LOW_SIZE, this::tell);
    call.action().run(guest, address(call));
    assertTold();
    all.close();
  }

  @ParameterizedTest
  @MethodSource("writers")
  void refusedWrite_isNotTold(Call call) {
    WriteWatch next = guest.memory.watchBytes(TestGuest.NEXT, TestGuest.NEXT_SIZE, this::tell);
    long outside = TestGuest.END - (call.aligned() ? 0 : 1);
    if (call.length() > 1 || call.aligned()) {
      assertThrows(GuestAccessException.class, () -> call.action().run(guest, outside));
      assertTold();
    }
    next.close();
  }

  /** The page cursor of a vCPU does not pass by a watch that comes later. */
  @Test
  void cursorThatIsOnThePage_isDropped() {
    guest.vcpu.putLong(TestGuest.LOW, 1);
    guest.vcpu.putLong(TestGuest.LOW, 1);
    PageWatch watch =
        guest.memory.watchPages(guest.low, (at, length) -> told.add(new Told(at, length)));
    watch.arm(TestGuest.LOW, 8);
    guest.vcpu.putLong(TestGuest.LOW, 2);
    guest.vcpu.putLong(TestGuest.LOW, 3);
    assertTold(new Told(TestGuest.LOW, 8));
    watch.close();
    WriteWatch bytes =
        guest.memory.watchBytes(TestGuest.LOW, 1, (at, length) -> told.add(new Told(at, length)));
    for (int i = 0; i < 3; i++) {
      guest.vcpu.fill(TestGuest.LOW, TestGuest.PAGE, TestGuest.WRITTEN);
      guest.vcpu.putByte(TestGuest.LOW, TestGuest.WRITTEN);
    }
    assertEquals(6, told.size());
    bytes.close();
  }

  @Test
  void windowThatIsOpened_isTold() {
    PageWatch watch =
        guest.memory.watchPages(guest.low, (at, length) -> told.add(new Told(at, length)));
    WriteWindow window = guest.vcpu.window(TestGuest.LOW, 600);
    window.ram();
    assertTold();
    watch.arm(TestGuest.LOW, 8);
    assertTrue(window.isClosed());
    window.ram().set(ValueLayout.JAVA_BYTE, 0, TestGuest.WRITTEN);
    assertTold(new Told(TestGuest.LOW, 600));
    watch.close();
  }

  /** What a listener does may close the window that is being opened, each time it is called. */
  @ParameterizedTest
  @ValueSource(strings = {"takes", "goes offline", "arms"})
  void windowThatIsOpened_itsListenerClosesIt_isToldOnceAndOpen(String what) {
    PageWatch pages = guest.memory.watchPages(guest.low, (at, length) -> {});
    WriteWatch watch =
        guest.memory.watchBytes(
            TestGuest.LOW,
            1,
            (at, length) -> {
              told.add(new Told(at, length));
              assertEquals(1, told.size(), "told again");
              switch (what) {
                case "takes" -> Dirty.take(guest.client);
                case "goes offline" -> guest.vcpu.offline();
                default -> pages.arm(at, length);
              }
            });
    WriteWindow window = guest.vcpu.window(TestGuest.LOW, 600);
    MemorySegment ram = window.ram();
    assertTold(new Told(TestGuest.LOW, 600));
    assertFalse(window.isClosed());
    ram.set(ValueLayout.JAVA_BYTE, 300, TestGuest.WRITTEN);
    guest.vcpu.safepoint();
    assertEquals(Dirty.pages(guest.low, TestGuest.LOW, 600), Dirty.take(guest.client));
    watch.close();
    pages.close();
  }

  /** A rewind, or the end of a migration, writes pages by the port: translated code has to go. */
  @Test
  void restoredPage_isTold() {
    PageWatch watch = guest.memory.watchPages(guest.low, this::tell);
    watch.arm(TestGuest.LOW, TestGuest.PAGE);
    byte[] page = new byte[TestGuest.PAGE];
    guest.memory.pages().write(guest.low, 0, page);
    assertTold();
    guest.client.markForOthers(guest.low, 0, TestGuest.PAGE);
    assertTold(new Told(TestGuest.LOW, TestGuest.PAGE));
    watch.close();
  }

  @Test
  void changedSlot_endsItsWatch() {
    WriteWatch watch = guest.memory.watchBytes(TestGuest.NEXT, 1, this::tell);
    try (SlotTransaction change = guest.memory.beginTransaction()) {
      change.move(9, 0x1000_0000L).commit();
    }
    guest.vcpu.putByte(0x1000_0000L, TestGuest.WRITTEN);
    assertTold();
    assertTrue(watch.isEnded());
    watch.close();
  }

  /**
   * A device is under way in a slot that becomes two of another page size, of which one is watched.
   */
  @ParameterizedTest
  @ValueSource(ints = {21, 22})
  void listenerThatThrowsAtTheEndOfAChange_whatADeviceWroteIsDirty(int watched) throws Exception {
    int other = 43 - watched;
    MemorySegment ram = Arena.ofAuto().allocate(16 * 4096, 4096);
    long base = 0x2000_0000L;
    GuestSlot old = guest.memory.addSlot(20, base, ram, 4096);
    IllegalStateException mine = new IllegalStateException("mine");
    CountDownLatch published = new CountDownLatch(1);
    List<PageWatch> watches = new ArrayList<>();
    guest.memory.addListener(
        0,
        new MemoryListener() {
          @Override
          public void regionAdd(GuestSlot slot) {
            if (slot.id() == watched) {
              PageWatch watch =
                  guest.memory.watchPages(
                      slot,
                      (at, length) -> {
                        throw mine;
                      });
              watch.arm(slot.guestAddress(), 1);
              watches.add(watch);
            }
            if (slot.id() == 22) {
              published.countDown();
            }
          }
        });
    guest.vcpu.offline();
    var rcu = guest.memory.log().rcu();
    rcu.enter();
    Thread changer =
        new Thread(() -> {
          try (SlotTransaction change = guest.memory.beginTransaction()) {
            change.remove(20);
            change.add(21, base, ram.asSlice(0, 8 * 4096), 1024);
            change.add(22, base + 8 * 4096, ram.asSlice(8 * 4096), 1024);
            change.commit().forEach(RemovedSlot::close);
          }
        });
    changer.start();
    published.await();
    guest.client.take().close();
    try (var batch = guest.client.take()) {
      batch.commit(); // it knows all
    }
    long at = other == 21 ? 4 * 4096 : 12 * 4096;
    ram.set(ValueLayout.JAVA_BYTE, at, (byte) 1);
    guest.memory.log().mark(old.log(), at, 1);
    rcu.exit();
    changer.join();
    List<Long> pages = new ArrayList<>();
    try (var batch = guest.client.take()) {
      batch.forEachRun((slot, first, count) -> {
        for (long page = first; slot.id() == other && page < first + count; page++) {
          pages.add(page);
        }
      });
    }
    assertTrue(pages.contains(4L * 4), "of the slot: " + pages);
    assertEquals(List.of(mine), guest.errors);
    watches.forEach(PageWatch::close);
  }

  @Test
  void wrongRange_isRefused() {
    for (long[] range :
        new long[][] {{TestGuest.NEXT - 1, 2}, {TestGuest.END, 1}, {0, 1}, {TestGuest.LOW, -1}}) {
      assertThrows(
          GuestAccessException.class,
          () -> guest.memory.watchBytes(range[0], range[1], this::tell));
    }
    assertThrows(
        IllegalArgumentException.class,
        () -> guest.memory.watchBytes(TestGuest.LOW, 0, this::tell));
    try (GuestMemory other = GuestMemory.create()) {
      GuestSlot foreign = other.addSlot(0, 0, 4096);
      assertThrows(
          IllegalArgumentException.class, () -> guest.memory.watchPages(foreign, this::tell));
      PageWatch watch = guest.memory.watchPages(guest.low, this::tell);
      assertThrows(IndexOutOfBoundsException.class, () -> watch.arm(TestGuest.LOW - 1, 1));
      watch.close();
    }
  }

  /** Watches beside a client that takes: see CodeCacheRaceTest of sync. */
  @Test
  void listener_mayReadAndTake() {
    List<Integer> pages = new ArrayList<>();
    PageWatch watch =
        guest.memory.watchPages(
            guest.low,
            (at, length) -> {
              guest.vcpu.getLong(at);
              try (var other = guest.memory.client("other", InitialView.ALL_DIRTY);
                  var batch = other.take()) {
                pages.add((int) batch.pageCount());
              }
            });
    watch.arm(TestGuest.LOW, 1);
    guest.vcpu.write(TestGuest.LOW, MemorySegment.ofArray(new byte[8]));
    assertEquals(List.of(70 + 5 + 8), pages);
    watch.close();
  }
}
