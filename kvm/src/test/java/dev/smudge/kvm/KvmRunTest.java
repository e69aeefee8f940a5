package dev.smudge.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.GuestSlot;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.DirtyLogBuilder;
import dev.smudge.sync.VcpuPause;
import dev.smudge.sync.error.SealedException;
import dev.smudge.sync.error.VcpuException;
import dev.smudge.sync.error.VcpuTimeoutException;
import dev.smudge.sync.inhibitor.InhibitableAccess;
import dev.smudge.testkit.GuestMachine;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Who runs a vCPU of KVM, and who stops it: pauses, seals, kicks and timeouts. */
@RequiresKvm
@Timeout(60)
class KvmRunTest extends KvmTrackerCase {
  // The options of the log hold for the kernel's vCPUs

  @Test
  void timeout_aVcpuThatDoesNotLeaveTheGuest_failsThePauseByTheTimeoutOfTheLog() throws Exception {
    DirtyLogBuilder options = DirtyLog.builder().timeout(Duration.ofMillis(150));
    try (KvmMachine machine = new KvmMachine(0, true, options);
        ExecutorService vcpuThread = Executors.newSingleThreadExecutor()) {
      slot(machine);
      // As a run whose kicks are lost.
      InhibitableAccess stuck = machine.backend.inhibitor().addAccess(() -> {});
      vcpuThread.submit(stuck::enter).get();
      VcpuTimeoutException late =
          assertThrows(VcpuTimeoutException.class, machine.memory().log()::pause);
      assertTrue(String.valueOf(late.getMessage()).contains("150 ms"), late::toString);
      vcpuThread.submit(stuck::leave).get();
      machine.memory().log().pause().close();
    }
  }

  @Test
  void errorHandler_aVcpuThreadThatEndedInTheGuest_isReportedToTheHandlerOfTheLog()
      throws Exception {
    List<Throwable> errors = new CopyOnWriteArrayList<>();
    DirtyLogBuilder options = DirtyLog.builder().errorHandler(errors::add);
    try (KvmMachine machine = new KvmMachine(0, true, options)) {
      slot(machine);
      InhibitableAccess left = machine.backend.inhibitor().addAccess(() -> {});
      Thread thread = Thread.ofPlatform().start(left::enter);
      thread.join();
      machine.memory().log().pause().close();
      assertEquals(1, errors.size(), errors::toString);
      assertTrue(errors.toString().contains("has ended inside"), errors::toString);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 256})
  @SuppressWarnings("try") // closed twice
  void pause_guestRuns_standsStillUntilItsEnd(int ring) throws Exception {
    try (KvmMachine machine = machine(ring)) {
      slot(machine);
      DirtyClient<GuestSlot> client = client(machine);
      CompletableFuture<Integer> end = startEndless(machine);
      for (int i = 0; i < 20; i++) {
        awaitRounds(machine, 1);
        try (VcpuPause pause = machine.memory().log().pause()) {
          GuestMachine.take(client);
          long rounds = machine.program.rounds();
          assertEquals(Set.of(), GuestMachine.take(client));
          assertEquals(Set.of(), GuestMachine.take(client));
          assertEquals(rounds, machine.program.rounds());
          machine.memory().addSlot(3, 0x6000_0000L, machine.ram(1), PAGE);
          machine.memory().removeSlot(3).close(); // a change by who pauses
          pause.close(); // twice does nothing
        }
      }
      awaitRounds(machine, 1);
      machine.runner.kick();
      assertEquals(RunLayout.EXIT_INTR, end.get());
    }
  }

  @Test
  void seal_guestRuns_runIsRefusedUntilItIsTakenBack() {
    try (KvmMachine machine = machine(256)) {
      slot(machine);
      DirtyClient<GuestSlot> client = client(machine);
      CompletableFuture<Integer> end = startEndless(machine);
      awaitRounds(machine, 3);
      machine.memory().seal();
      GuestMachine.take(client);
      ExecutionException e = assertThrows(ExecutionException.class, end::get);
      assertTrue(e.getCause() instanceof SealedException, e::toString);
      assertEquals(Set.of(), GuestMachine.take(client));
    }
  }

  @Test
  void kick_beforeTheRun_endsItOnce() {
    try (KvmMachine machine = machine(0)) {
      slot(machine);
      machine.program.list(BASE);
      machine.runner.kick();
      assertEquals(RunLayout.EXIT_INTR, machine.runner.run());
      machine.vcpu.kick(); // somebody else's, as a change's that comes late
      assertEquals(RunLayout.EXIT_IO, machine.runner.run());
    }
  }

  @Test
  void run_byASecondThread_isRefusedUntilTheRunnerIsClosed() throws Exception {
    try (KvmMachine machine = machine(256)) {
      slot(machine);
      machine.write(1, BASE);
      ExecutionException e = assertThrows(ExecutionException.class, () -> machine.start().get());
      assertTrue(e.getCause() instanceof VcpuException, e::toString);
      DirtyClient<GuestSlot> client = client(machine);
      machine.runner.close();
      try (KvmRunner other = machine.backend.addVcpu(machine.vcpu)) {
        machine.program.list(BASE + PAGE);
        assertEquals(RunLayout.EXIT_IO, other.run());
      }
      assertEquals(Set.of("1:1"), GuestMachine.take(client));
    }
  }

  @Test
  void run_byTheNextThreadAfterTheFirstHasEnded_goesOn() throws Exception {
    try (KvmMachine machine = machine(0)) {
      slot(machine);
      DirtyClient<GuestSlot> client = client(machine);
      for (int page = 0; page < 3; page++) {
        machine.program.list(BASE + (long) page * PAGE);
        CompletableFuture<Integer> exit = new CompletableFuture<>();
        Thread thread = Thread.ofPlatform().start(() -> exit.complete(machine.runner.run()));
        thread.join();
        assertEquals(RunLayout.EXIT_IO, exit.getNow(-1));
        assertEquals(Set.of("1:" + page), GuestMachine.take(client));
      }
    }
  }

  @Test
  void pause_itsHolderHasEnded_isOverAndReported() throws Exception {
    List<Throwable> errors = new CopyOnWriteArrayList<>();
    try (KvmMachine machine =
        new KvmMachine(0, true, DirtyLog.builder().errorHandler(errors::add))) {
      slot(machine);
      DirtyClient<GuestSlot> client = client(machine);
      Thread holder = new Thread(() -> assertNotNull(machine.memory().log().pause()));
      holder.start();
      holder.join();
      machine.write(1, BASE); // the vCPU
      assertEquals(Set.of("1:0"), GuestMachine.take(client));
      holder = new Thread(() -> assertNotNull(machine.memory().log().pause()));
      holder.start();
      holder.join();
      machine.memory().addSlot(2, BASE + (1L << 30), machine.ram(1), PAGE);
      machine.memory().removeSlot(2).close(); // a change
    }
    assertFalse(errors.isEmpty());
    for (Throwable error : errors) {
      assertTrue(error.toString().contains("has not closed its pause"), errors::toString);
    }
  }

  @Test
  void close_memoryUnderARunningGuest_endsItWithAnExit() throws Exception {
    try (KvmMachine machine = machine(256)) {
      slot(machine);
      client(machine);
      CompletableFuture<Integer> end = startEndless(machine);
      awaitRounds(machine, 1);
      machine.memory().close();
      assertEquals(RunLayout.EXIT_MMIO, end.get());
    }
  }
}
