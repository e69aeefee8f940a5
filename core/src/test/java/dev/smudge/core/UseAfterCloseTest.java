package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.smudge.core.ApiMethods.Call;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.error.VcpuException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** What was closed is refused: a memory, a vCPU, a client, a batch. */
@Timeout(120)
class UseAfterCloseTest {
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
  void client_afterItsClose_refused() {
    try (GuestMemory memory = GuestMemory.create()) {
      GuestSlot slot = memory.addSlot(0, 0, 4096);
      DirtyClient<GuestSlot> client = memory.client("gone", InitialView.ALL_DIRTY);
      client.close();
      client.close();
      assertThrows(IllegalStateException.class, client::take);
      assertThrows(IllegalStateException.class, () -> client.discard(slot, 0, 1));
    }
  }

  @Test
  void batch_afterItsClose_refused() {
    try (GuestMemory memory = GuestMemory.create()) {
      GuestSlot slot = memory.addSlot(0, 0, 4096);
      DirtyClient<GuestSlot> client = memory.client("test", InitialView.ALL_DIRTY);
      DirtyBatch<GuestSlot> batch = client.take();
      assertThrows(IllegalStateException.class, client::take, "its last batch is open");
      batch.close();
      batch.close();
      assertThrows(
          IllegalStateException.class, () -> batch.forEachRun((where, first, count) -> {}));
      assertThrows(IllegalStateException.class, batch::commit);
      assertThrows(IllegalStateException.class, () -> batch.acknowledge(slot, 0, 1));
      assertEquals(Dirty.pages(slot, 0, 1), Dirty.take(client), "dirty again");
    }
  }

  @Test
  void vcpu_afterItsClose_refusedAndUntouched() {
    try (TestGuest guest = new TestGuest()) {
      guest.vcpu.putByte(TestGuest.LOW, TestGuest.FILLED);
      guest.vcpu.getByte(TestGuest.LOW);
      Dirty.take(guest.client);
      guest.vcpu.close();
      guest.vcpu.close();
      ApiMethods.all()
          .filter(call -> call.checksAddress() && call.method().startsWith("Vcpu"))
          .filter(call -> !call.method().contains("mark")) // tested below: the store was made
          .forEach(call ->
              assertThrows(
                  VcpuException.class,
                  () -> call.action().run(guest, TestGuest.LOW),
                  call.method()));
      assertThrows(VcpuException.class, guest.vcpu::safepoint);
      assertThrows(VcpuException.class, guest.vcpu::online);
      guest.assertUntouched("closed vCPU");
      guest.assertClean("closed vCPU");
      assertThrows(VcpuException.class, () -> guest.vcpu.mark(TestGuest.LOW, 1));
      assertEquals(Dirty.pages(guest.low, TestGuest.LOW, 1), Dirty.take(guest.client));
    }
  }
}
