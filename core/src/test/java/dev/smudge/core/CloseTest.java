package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.ApiMethods.Call;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.VcpuTimeoutException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** What is left after the memory is closed: nothing that reaches its RAM. */
@Timeout(120)
class CloseTest {
  enum Closer {
    VCPU_ITSELF,
    ANOTHER,
    ANOTHER_WHILE_OFFLINE
  }

  static Stream<Call> calls() {
    return ApiMethods.all().filter(Call::checksAddress);
  }

  private static void close(GuestMemory memory, Vcpu vcpu, Closer closer) {
    switch (closer) {
      case VCPU_ITSELF -> memory.close();
      case ANOTHER -> TestGuest.whileAtSafepoints(vcpu, memory::close);
      case ANOTHER_WHILE_OFFLINE -> {
        vcpu.offline();
        memory.close();
      }
    }
  }

  @ParameterizedTest
  @MethodSource("calls")
  void access_afterClose_isRefused(Call call) {
    for (Closer closer : Closer.values()) {
      for (boolean taken : new boolean[] {false, true}) {
        try (TestGuest guest = new TestGuest()) {
          guest.vcpu.putLong(TestGuest.LOW, 1);
          guest.vcpu.putLong(TestGuest.LOW, 1);
          guest.vcpu.getLong(TestGuest.LOW);
          if (taken) {
            Dirty.take(guest.client); // nothing is left for close to arm
            guest.vcpu.safepoint();
          }
          close(guest.memory, guest.vcpu, closer);
          for (int i = 0; i < 2; i++) {
            assertThrows(
                IllegalStateException.class,
                () -> call.action().run(guest, TestGuest.LOW),
                call + ", closed by " + closer);
          }
          guest.vcpu.close();
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void access_afterCloseOverRamOfTheEmbedders_isRefusedAndRamIsLeft(Closer closer) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment ram = arena.allocate(8192, 8);
      GuestMemory memory = GuestMemory.create();
      memory.addSlot(0, 0, ram, 4096);
      Vcpu vcpu = memory.addVcpu();
      vcpu.putLong(0, 42);
      vcpu.putLong(0, 42);
      close(memory, vcpu, closer);
      assertThrows(IllegalStateException.class, () -> vcpu.putLong(0, 1));
      assertThrows(IllegalStateException.class, () -> vcpu.getLong(0));
      assertThrows(IllegalStateException.class, () -> memory.device().putLong(0, 1));
      assertEquals(42, ram.get(java.lang.foreign.ValueLayout.JAVA_LONG, 0));
    }
  }

  @Test
  void asyncWriteUnderWay_afterClose_targetIsGoneAndItsEndDoesNotThrow() {
    TestGuest guest = new TestGuest();
    AsyncWrite write = guest.memory.device().beginWrite(TestGuest.LOW, 600);
    guest.close();
    assertThrows(IllegalStateException.class, () -> write.target().fill((byte) 1));
    write.close();
  }

  @Test
  void methods_afterClose_areRefused() {
    TestGuest guest = new TestGuest();
    guest.close();
    guest.close();
    GuestMemory memory = guest.memory;
    assertThrows(IllegalStateException.class, memory::addVcpu);
    assertThrows(IllegalStateException.class, () -> memory.client("late", InitialView.ALL_DIRTY));
    assertThrows(IllegalStateException.class, guest.client::take);
    assertThrows(IllegalStateException.class, () -> memory.addSlot(20, 0, 4096));
    MemorySegment ram = MemorySegment.ofArray(new byte[4096]);
    assertThrows(IllegalStateException.class, () -> memory.addSlot(20, 0, ram, 4096));
    assertEquals(3, memory.slots().size());
  }

  @Test
  void close_vcpuRunsAndPassesSafepoints_itsNextAccessFailsCleanly() {
    for (int round = 0; round < 200; round++) {
      GuestMemory memory = GuestMemory.create();
      GuestSlot slot = memory.addSlot(0, 0, 64 * 4096);
      CountDownLatch runs = new CountDownLatch(2);
      boolean reads = round % 2 == 0;
      FutureTask<Void> vcpuTask =
          Threads.start(
              "vcpu",
              index -> {
                Vcpu vcpu = memory.addVcpu();
                for (long i = 0; ; i++) {
                  long address = i * 8 % slot.size();
                  try {
                    if (reads) {
                      vcpu.getLong(address);
                    } else {
                      vcpu.putLong(address, i);
                    }
                  } catch (IllegalStateException e) {
                    vcpu.close();
                    return;
                  }
                  vcpu.safepoint();
                  if (i == 20) {
                    runs.countDown();
                  }
                }
              },
              0);
      FutureTask<Void> deviceTask =
          Threads.start(
              "device",
              index -> {
                runs.countDown();
                for (; ; ) {
                  try {
                    memory.device().fill(4096, 4096, (byte) 1);
                  } catch (IllegalStateException e) {
                    return;
                  }
                }
              },
              0);
      await(runs);
      memory.close();
      assertFalse(slot.ram().scope().isAlive());
      Threads.joinAll(List.of(vcpuTask, deviceTask));
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void close_vcpuPassesNoSafepoint_timesOutAndRamStaysMapped() {
    GuestMemory memory =
        GuestMemory.over(DirtyLog.builder().timeout(Duration.ofMillis(50)).build());
    GuestSlot slot = memory.addSlot(0, 0, 64 * 4096);
    CountDownLatch runs = new CountDownLatch(1);
    CountDownLatch mayStop = new CountDownLatch(1);
    FutureTask<Void> task =
        Threads.start(
            "vcpu",
            index -> {
              try (Vcpu vcpu = memory.addVcpu()) {
                for (long i = 0; i < 100 || mayStop.getCount() > 0; i++) {
                  vcpu.putLong(i * 8 % slot.size(), i);
                  assertEquals(i, vcpu.getLong(i * 8 % slot.size()));
                  if (i == 50) {
                    runs.countDown();
                  }
                }
                vcpu.safepoint();
                assertThrows(IllegalStateException.class, () -> vcpu.putLong(0, 1));
                assertThrows(IllegalStateException.class, () -> vcpu.getLong(0));
              }
            },
            0);
    await(runs);
    for (int i = 0; i < 3; i++) {
      VcpuTimeoutException late = assertThrows(VcpuTimeoutException.class, memory::close);
      assertTrue(String.valueOf(late.getMessage()).contains("vCPU 0"), late.getMessage());
      assertTrue(slot.ram().scope().isAlive());
      assertFalse(task.isDone(), "it writes on");
      assertThrows(
          IllegalStateException.class, () -> memory.device().putByte(0, (byte) 1), "closed");
    }
    mayStop.countDown();
    Threads.joinAll(List.of(task));
    memory.close();
    assertFalse(slot.ram().scope().isAlive());
  }
}
