package dev.smudge.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.kvmguest.PageWriter;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@RequiresKvm
@Timeout(60)
class KvmVcpuTest {
  @Test
  void run_list_writesTheIterationToItsPages() {
    try (KvmGuest guest = new KvmGuest(64, vm -> {}).log()) {
      guest.write(7, 3, 5, 63);
      assertEquals(7, guest.valueOf(3));
      assertEquals(7, guest.valueOf(63));
      assertEquals(0, guest.valueOf(4));
      assertEquals(KvmGuest.set(3, 5, 63), guest.get());
    }
  }

  @Test
  void run_step_exitsAfterEachWrite() {
    try (KvmGuest guest = new KvmGuest(64, vm -> {}).log()) {
      guest.program.mode(true, false);
      guest.order(1, 0, 1);
      assertEquals(RunLayout.EXIT_IO, guest.vcpu.run());
      assertEquals(PageWriter.STEP_PORT, guest.vcpu.ioPort());
      assertEquals(1, guest.valueOf(0));
      assertEquals(0, guest.valueOf(1));
      assertEquals(RunLayout.EXIT_IO, guest.vcpu.run());
      assertEquals(PageWriter.STEP_PORT, guest.vcpu.ioPort());
      assertEquals(1, guest.valueOf(1));
      assertEquals(RunLayout.EXIT_IO, guest.vcpu.run());
      assertEquals(PageWriter.DONE_PORT, guest.vcpu.ioPort());
    }
  }

  @Test
  void run_addressInNoSlot_isAnExit() {
    try (KvmGuest guest = new KvmGuest(64, vm -> {}).log()) {
      guest.order(1, 64);
      assertEquals(RunLayout.EXIT_MMIO, guest.vcpu.run());
      assertEquals(KvmGuest.addresses(64)[0], guest.vcpu.mmioAddress());
    }
  }

  @Test
  void kick_beforeTheRun_endsItOnce() {
    try (KvmGuest guest = new KvmGuest(64, vm -> {}).log()) {
      guest.order(1, 0);
      guest.vcpu.kick();
      assertEquals(RunLayout.EXIT_INTR, guest.vcpu.run());
      assertEquals(0, guest.valueOf(0));
      assertEquals(RunLayout.EXIT_IO, guest.vcpu.run());
    }
  }

  @Test
  void kick_endlessGuest_getsItOut() throws Exception {
    try (KvmGuest guest = new KvmGuest(64, vm -> {}).log()) {
      CompletableFuture<Integer> end = runEndless(guest);
      for (int round = 0; round < 100; round++) {
        guest.vcpu.kick();
        assertEquals(RunLayout.EXIT_INTR, end.get());
        end = runEndless(guest);
      }
      guest.vcpu.kick();
      end.get();
    }
  }

  @Test
  void close_vcpuRuns_endsTheRun() throws Exception {
    KvmGuest guest = new KvmGuest(64, vm -> {}).log();
    CompletableFuture<Integer> end = runEndless(guest);
    guest.close();
    assertEquals(RunLayout.EXIT_INTR, end.get());
    assertThrows(IllegalStateException.class, guest.vcpu::run);
    assertThrows(IllegalStateException.class, guest.vcpu::kick);
    assertThrows(IllegalStateException.class, guest.vcpu::fd);
  }

  /** Returns when the guest runs. */
  private static CompletableFuture<Integer> runEndless(KvmGuest guest) {
    guest.program.mode(false, true);
    guest.order(1, 0);
    long before = guest.program.rounds();
    CompletableFuture<Integer> end = new CompletableFuture<>();
    Thread.ofPlatform()
        .daemon()
        .start(() -> {
          try {
            end.complete(guest.vcpu.run());
          } catch (Throwable e) {
            end.completeExceptionally(e);
          }
        });
    while (guest.program.rounds() == before && !end.isDone()) {
      Thread.onSpinWait();
    }
    assertTrue(!end.isDone() || end.isCompletedExceptionally());
    return end;
  }
}
