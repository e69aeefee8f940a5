package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.error.VcpuTimeoutException;
import dev.smudge.sync.rcu.RcuException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.Pipe;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A memory is closed beside everything that reaches its RAM. */
@Timeout(120)
@Tag("long")
class CloseTest {
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

  /** A vCPU that is busy with a slot of its own when memory is closed, in every kind of access. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void close_underFire_everyThreadEndsWithAnException(boolean embedders) {
    Random seeds = TestRandom.of("close under fire");
    for (int round = 0; round < 8; round++) {
      GuestMemory memory = GuestMemory.create();
      if (embedders) {
        memory.addSlot(0, 0, MemorySegment.ofArray(new long[2048]), 256);
      } else {
        memory.addSlot(0, 0, 16_384, 256);
      }
      DirtyClient<GuestSlot> client = memory.client("test", InitialView.NONE_DIRTY);
      AtomicInteger running = new AtomicInteger();
      List<FutureTask<Void>> threads = new ArrayList<>();
      for (int i = 0; i < 4; i++) {
        Random random = new Random(seeds.nextLong());
        threads.add(
            Threads.start("fire", index -> fire(memory, client, index, random, running), i));
      }
      while (running.get() < 4) {
        Thread.onSpinWait();
      }
      memory.close();
      Threads.joinAll(threads);
    }
  }

  private static void fire(
      GuestMemory memory,
      DirtyClient<GuestSlot> client,
      int index,
      Random random,
      AtomicInteger running) {
    Vcpu vcpu = memory.addVcpu();
    VcpuAtomics atomics = vcpu.atomics();
    byte[] bytes = new byte[700];
    try {
      for (int i = 0; ; i++) {
        if (i == 5) {
          running.incrementAndGet();
        }
        int address = random.nextInt(15_000);
        if (index == 3) {
          Dirty.take(client);
        } else if (index == 2) {
          memory.device().write(address, MemorySegment.ofArray(bytes));
          memory.device().putLong(address, i);
          memory.device().read(address, MemorySegment.ofArray(bytes));
        } else {
          Access access = Access.ALL.get(random.nextInt(Access.ALL.size()));
          access.put().put(vcpu, address, i);
          access.get().get(vcpu, address);
          vcpu.write(address, bytes, 0, random.nextInt(700));
          vcpu.fill(address, random.nextInt(700), (byte) i);
          vcpu.copy(address, 15_000 - address, random.nextInt(700));
          atomics.getAndAdd(address & -8, 8, i);
          vcpu.safepoint();
        }
      }
    } catch (IllegalStateException e) { // what was to come
      vcpu.offline();
    }
  }

  /** close waits for vCPUs; one of them may want the memory meanwhile. */
  @Test
  void close_vcpuAddsASlotMeanwhile_bothEnd() throws Exception {
    CountDownLatch online = new CountDownLatch(1);
    GuestMemory memory = GuestMemory.create();
    memory.addSlot(0, 0, 4096);
    Vcpu vcpu = memory.addVcpu();
    FutureTask<Void> guest =
        Threads.start(
            "guest",
            index -> {
              vcpu.putByte(0, (byte) 1);
              online.countDown();
              awaitClosed(memory);
              assertThrows(IllegalStateException.class, () -> memory.addSlot(1, 0x10_0000, 4096));
              vcpu.offline();
            },
            0);
    online.await();
    memory.close();
    Threads.joinAll(List.of(guest));
  }

  private static void awaitClosed(GuestMemory memory) {
    try {
      while (true) {
        memory.device().mark(0, 1);
        Thread.onSpinWait();
      }
    } catch (IllegalStateException e) {
      return;
    }
  }

  /** I/O into one slot's RAM stops the first close half-way; the second ends it. */
  @Test
  void close_ioIntoRamUnderWay_triedAgainEndsIt() throws Exception {
    Pipe pipe = Pipe.open();
    GuestMemory memory = GuestMemory.create();
    List<GuestSlot> slots =
        List.of(
            memory.addSlot(0, 0, 4096),
            memory.addSlot(1, 0x10_0000, 4096),
            memory.addSlot(2, 0x20_0000, 4096));
    var buffer = slots.get(1).ram().asByteBuffer();
    CompletableFuture<Thread> reader = new CompletableFuture<>();
    FutureTask<Void> read =
        Threads.start(
            "read",
            index -> {
              reader.complete(Thread.currentThread());
              pipe.source().read(buffer);
            },
            0);
    StackTraceElement[] stack = {};
    while (stack.length == 0
        || !stack[0].isNativeMethod()
        || !stack[0].getMethodName().startsWith("read")) {
      stack = reader.get().getStackTrace();
    }
    assertThrows(IllegalStateException.class, memory::close);
    assertThrows(IllegalStateException.class, memory::close);
    pipe.sink().write(java.nio.ByteBuffer.wrap(new byte[] {1}));
    Threads.joinAll(List.of(read));
    memory.close();
    for (GuestSlot slot : slots) {
      assertFalse(slot.ram().scope().isAlive());
    }
    pipe.sink().close();
    pipe.source().close();
  }

  /** The other client takes what was marked before the write; what is marked after it counts. */
  @Test
  void writeAs_itsClientIsClosedMeanwhile_theOtherHasEveryPage() throws Exception {
    long half = 32 << 20;
    long pages = half / 4096;
    try (GuestMemory memory = GuestMemory.create();
        Arena arena = Arena.ofShared()) {
      memory.addSlot(0, 0, half);
      GuestSlot second = memory.addSlot(1, half, half);
      DirtyClient<GuestSlot> other = memory.client("other", InitialView.NONE_DIRTY);
      MemorySegment source = arena.allocate(2 * half);
      AtomicReference<@Nullable Throwable> thrown = new AtomicReference<>();
      for (byte version = 1; thrown.get() == null; version++) { // it may be done before the close
        assertTrue(version < 50, "the close never came in the middle of a write");
        DirtyClient<GuestSlot> writer = memory.client("writer", InitialView.NONE_DIRTY);
        Dirty.take(other);
        source.fill(version);
        Future<?> writing =
            Threads.start(
                "writing",
                index -> {
                  try {
                    memory.device().writeAs(writer, 0, source);
                  } catch (IllegalStateException e) {
                    thrown.set(e);
                  }
                },
                0);
        while (memory.device().getByte(0) != version) {
          Thread.onSpinWait();
        }
        Dirty.take(other);
        writer.close();
        writing.get();
      }
      assertEquals(
          Map.of(0, (int) pages, 1, (int) pages),
          Dirty.take(other).entrySet().stream()
              .collect(Collectors.toMap(Map.Entry::getKey, e -> e.getValue().cardinality())));
      assertEquals(
          source.get(ValueLayout.JAVA_BYTE, 0), second.ram().get(ValueLayout.JAVA_BYTE, 0));
      other.close();
    }
  }

  @Test
  void writeAs_clientThatMayNotMark_nothingIsWritten() {
    try (GuestMemory memory = GuestMemory.create();
        GuestMemory others = GuestMemory.create()) {
      GuestSlot slot = memory.addSlot(0, 0, 8192);
      others.addSlot(0, 0, 8192);
      DirtyClient<GuestSlot> closed = memory.client("closed", InitialView.NONE_DIRTY);
      closed.close();
      DirtyClient<GuestSlot> foreign = others.client("foreign", InitialView.NONE_DIRTY);
      DirtyClient<GuestSlot> mine = memory.client("mine", InitialView.NONE_DIRTY);
      MemorySegment ones = MemorySegment.ofArray(new byte[] {1, 1, 1});
      assertThrows(IllegalStateException.class, () -> memory.device().writeAs(closed, 4095, ones));
      assertThrows(
          IllegalArgumentException.class, () -> memory.device().writeAs(foreign, 4095, ones));
      memory.log().close();
      assertThrows(IllegalStateException.class, () -> memory.device().writeAs(mine, 4095, ones));
      assertEquals(-1, slot.ram().mismatch(MemorySegment.ofArray(new byte[8192])));
    }
  }

  /** A wait for all tasks inside one of them would wait for itself. */
  @Test
  void close_insideATask_isRefusedAndNothingIsClosed() {
    try (GuestMemory memory = GuestMemory.create()) {
      memory.addSlot(0, 0, 4096);
      AtomicReference<@Nullable Throwable> thrown = new AtomicReference<>();
      memory.log().rcu().callRcu(() -> thrown.set(assertThrows(RcuException.class, memory::close)));
      memory.log().rcu().barrier();
      assertTrue(String.valueOf(thrown.get()).contains("close() inside a task"));
      memory.device().putByte(0, (byte) 1);
      memory.addSlot(1, 4096, 4096);
    }
  }
}
