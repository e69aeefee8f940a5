package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.RemovedSlot;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * An interrupted thread may call everything: the call does what it does for others, and the thread
 * stays interrupted. Another vCPU is under way, so that calls which wait do so.
 */
@Timeout(120)
class InterruptedThreadTest {
  private final TestGuest guest = new TestGuest();
  private final Vcpu other = guest.memory.addVcpu();
  private final GuestThread otherThread = new GuestThread(other);

  @AfterEach
  void close() {
    Thread.interrupted(); // of a test that has failed
    guest.vcpu.offline();
    otherThread.close();
    guest.memory.close();
  }

  /** One call. */
  interface Action {
    void run(InterruptedThreadTest test);
  }

  private static Arguments call(String name, Action action) {
    return arguments(name, action);
  }

  static Stream<Arguments> calls() {
    Stream<Arguments> accessors =
        ApiMethods.all()
            .map(call ->
                call(call.toString(), test -> call.action().run(test.guest, TestGuest.LOW + 512)));
    return Stream.concat(
        accessors,
        Stream.of(
            call("addSlot", test -> test.guest.memory.addSlot(20, 0, 1 << 20)),
            call("slot and its removal", InterruptedThreadTest::addAndRemove),
            call("every step of a transaction", InterruptedThreadTest::change),
            call("addVcpu", test -> test.guest.memory.addVcpu().close()),
            call("runOnVcpu", test -> test.other.runOnVcpu(() -> {}).join()),
            call("addListener", test -> test.guest.memory.addListener(0, slots()).close()),
            call("client", test -> test.guest.memory.client("b", InitialView.ALL_DIRTY).close()),
            call("take", test -> test.guest.client.take().close()),
            call("takeSynced", test -> test.guest.client.takeSynced().close()),
            call("takeAtMost", test -> test.guest.client.takeAtMost(3).close()),
            call("takeRange", test -> test.guest.client.takeRange(test.guest.low, 0, 3).close()),
            call("discard", test -> test.guest.client.discard(test.guest.low, 0, 3)),
            call("markForOthers", test -> test.guest.client.markForOthers(test.guest.low, 0, 3)),
            call("look", test -> test.guest.client.forEachDirtyRun((slot, first, count) -> {})),
            call("fork", test -> test.guest.client.fork("f").close()),
            call("export and import", InterruptedThreadTest::exportAndImport),
            call("batch", InterruptedThreadTest::useBatch),
            call("sync", test -> test.guest.memory.log().sync()),
            call("barrier", test -> test.guest.memory.log().barrier()),
            call("counters", test -> test.guest.memory.log().counters()),
            call("synchronize", test -> test.guest.memory.log().rcu().synchronize()),
            call("rcu barrier", test -> test.guest.memory.log().rcu().barrier()),
            call("pause", test -> test.guest.memory.log().pause().close()),
            call("pauseAll", test -> test.guest.memory.pauseAll().close()),
            call("seal", InterruptedThreadTest::sealAndUnseal)));
  }

  private static MemoryListener slots() {
    return new MemoryListener() {};
  }

  private static void addAndRemove(InterruptedThreadTest test) {
    test.guest.memory.addSlot(21, 1 << 24, 1 << 16);
    test.guest.memory.device().putLong(1 << 24, 1);
    try (RemovedSlot<GuestSlot> removed = test.guest.memory.removeSlot(21)) {
      assertEquals(16, removed.dirtyPages());
    }
  }

  private static void change(InterruptedThreadTest test) {
    try (SlotTransaction change = test.guest.memory.beginTransaction()) {
      change.add(22, 1 << 26, 1 << 16, 4096).split(22, 1 << 13, 23).move(23, 1 << 27);
      change.resize(23, 1 << 20).commit().forEach(RemovedSlot::close);
    }
    try (SlotTransaction change = test.guest.memory.beginTransaction()) {
      change.remove(22).resize(23, 1 << 21).commit().forEach(RemovedSlot::close);
    }
    test.guest.memory.removeSlot(23).close();
  }

  private static void useBatch(InterruptedThreadTest test) {
    test.guest.memory.device().fill(TestGuest.LOW, 4 * TestGuest.PAGE, (byte) 3);
    try (DirtyBatch<GuestSlot> batch = test.guest.client.take()) {
      batch.forEachRun(2, batch::acknowledge);
      batch.commit();
    }
  }

  private static void exportAndImport(InterruptedThreadTest test) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try {
      test.guest.client.exportDirty(bytes);
      test.guest.client.importDirty(new ByteArrayInputStream(bytes.toByteArray()));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void sealAndUnseal(InterruptedThreadTest test) {
    test.guest.memory.seal();
    test.guest.memory.unseal();
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("calls")
  void call_byAnInterruptedThread_isMadeAndTheThreadStaysInterrupted(String name, Action action) {
    Thread.currentThread().interrupt();
    action.run(this);
    assertTrue(Thread.interrupted(), name + ": the interrupt is kept");
    guest.vcpu.putInt(TestGuest.LOW + 3 * TestGuest.PAGE, 77); // and all works
    guest.vcpu.offline();
    assertTrue(Objects.requireNonNull(Dirty.take(guest.client).get(4)).get(3), name);
  }
}
