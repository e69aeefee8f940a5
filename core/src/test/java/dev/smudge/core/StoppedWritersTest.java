package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.VcpuPause;
import dev.smudge.sync.error.SealedException;
import dev.smudge.sync.tracker.SlotTracker;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A pause and a seal stop devices too, and know of writes that are to land yet. */
@Timeout(60)
class StoppedWritersTest {
  private static final int SIZE = 64 * 4096;

  private final List<Throwable> errors = new CopyOnWriteArrayList<>();

  private GuestMemory memory(Duration timeout) {
    return GuestMemory.over(DirtyLog.builder().timeout(timeout).errorHandler(errors::add).build());
  }

  @SuppressWarnings("try") // the pause is for what is inside
  @Test
  void pauseAll_devicesWrite_memoryStandsStill() throws Exception {
    try (GuestMemory memory = memory(Duration.ofSeconds(10))) {
      GuestSlot slot = memory.addSlot(0, 0, SIZE);
      AtomicBoolean stop = new AtomicBoolean();
      AtomicLong writes = new AtomicLong();
      Future<?> disk =
          Threads.start(
              "disk",
              index -> {
                for (long n = 1; !stop.get(); n++) {
                  memory.device().putLong((n & 63) << 12, n);
                  memory.device().fill((n & 63) << 12 | 64, 200, (byte) n);
                  writes.incrementAndGet();
                }
              },
              0);
      for (int i = 0; i < 200; i++) {
        long before = writes.get();
        while (writes.get() < before + 3) {
          Thread.onSpinWait();
        }
        try (VcpuPause pause = memory.pauseAll()) {
          byte[] copy = slot.ram().toArray(ValueLayout.JAVA_BYTE);
          for (int look = 0; look < 20; look++) {
            assertEquals(-1, slot.ram().mismatch(java.lang.foreign.MemorySegment.ofArray(copy)));
          }
          memory.device().putByte(5, (byte) i); // the holder's own goes through
          assertEquals((byte) i, memory.device().getByte(5));
        }
      }
      stop.set(true);
      disk.get();
    }
  }

  /** The holder may need the lock, so nobody who has it waits for the holder. */
  @SuppressWarnings("try") // the pause is for what is inside
  @Test
  void pauseAll_errorHandlerWritesUnderTheCollectorLock_isRefused() throws Exception {
    AtomicReference<GuestMemory> made = new AtomicReference<>();
    DirtyLog log =
        DirtyLog.builder()
            .errorHandler(e -> {
              try {
                Objects.requireNonNull(made.get()).device().putLong(0, 1);
              } catch (IllegalStateException refused) {
                errors.add(refused);
              }
            })
            .build();
    try (GuestMemory memory = GuestMemory.over(log)) {
      made.set(memory);
      memory.addSlot(0, 0, SIZE);
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      log.addTracker(
          0,
          slot ->
              new SlotTracker() {
                @Override
                public void collect(PageWordConsumer sink) {
                  throw new UnsupportedOperationException("no log");
                }
              });
      Future<?> other;
      try (VcpuPause pause = memory.pauseAll()) {
        other = Threads.start("other", index -> log.sync(), 0);
        while (errors.isEmpty()) {
          Thread.onSpinWait();
        }
        client.take().close();
      }
      other.get();
      assertTrue(
          String.valueOf(errors.get(0).getMessage()).contains("inside a call under the collector"),
          () -> errors.get(0).getMessage());
    }
  }

  /** Its holder has ended: the pause is over, for devices too. */
  @Test
  void pauseAll_itsHolderEnds_devicesGoOn() throws Exception {
    try (GuestMemory memory = memory(Duration.ofSeconds(10))) {
      memory.addSlot(0, 0, SIZE);
      Threads.start("holder", index -> memory.pauseAll(), 0).get();
      Future<?> disk = Threads.start("disk", index -> memory.device().putLong(0, 1), 0);
      disk.get(30, TimeUnit.SECONDS);
    }
  }

  @Test
  void pauseAll_ofOneWhoHasEndedIsClosedLate_leavesAnothersOn() throws Exception {
    try (GuestMemory memory = memory(Duration.ofSeconds(10))) {
      memory.addSlot(0, 0, SIZE);
      AtomicReference<VcpuPause> old = new AtomicReference<>();
      Thread holder = new Thread(() -> old.set(memory.pauseAll()));
      holder.start();
      holder.join();
      VcpuPause now = memory.pauseAll();
      Objects.requireNonNull(old.get()).close();
      Future<?> disk = Threads.start("disk", index -> memory.device().putLong(0, 1), 0);
      assertThrows(TimeoutException.class, () -> disk.get(300, TimeUnit.MILLISECONDS));
      assertEquals(0, memory.device().getLong(0));
      now.close();
      disk.get();
      assertEquals(1, memory.device().getLong(0));
    }
  }

  @Test
  void close_inAPauseOfAll_whoWaitsIsRefused() throws Exception {
    GuestMemory memory = memory(Duration.ofSeconds(10));
    memory.addSlot(0, 0, SIZE);
    VcpuPause pause = memory.pauseAll();
    AtomicBoolean began = new AtomicBoolean();
    Future<?> disk =
        Threads.start(
            "disk",
            index -> {
              began.set(true);
              assertThrows(IllegalStateException.class, () -> memory.device().putLong(0, 1));
            },
            0);
    while (!began.get()) {
      Thread.onSpinWait();
    }
    memory.close();
    disk.get();
    pause.close();
  }

  /** Nobody waits in a pause of a memory that is closed, whichever came first. */
  @Test
  void pauseAll_afterClose_devicesAreRefusedAtOnce() throws Exception {
    GuestMemory memory = memory(Duration.ofSeconds(10));
    memory.addSlot(0, 0, SIZE);
    memory.close();
    VcpuPause pause = memory.pauseAll();
    Future<?> disk = Threads.start("disk", index -> memory.device().putLong(0, 1), 0);
    ExecutionException e =
        assertThrows(ExecutionException.class, () -> disk.get(30, TimeUnit.SECONDS));
    assertTrue(e.getCause() instanceof IllegalStateException, e::toString);
    pause.close();
  }

  @Test
  void close_whileASealWaitsForAnAsyncWrite_theSealFailsAtOnce() throws Exception {
    GuestMemory memory = memory(Duration.ofHours(1));
    memory.addSlot(0, 0, SIZE);
    AsyncWrite write = memory.device().beginWrite(0, 4096);
    Future<?> seals = Threads.start("seals", index -> memory.seal(), 0);
    while (!isRefused(memory)) {
      Thread.onSpinWait(); // until the seal has begun
    }
    memory.close();
    ExecutionException e =
        assertThrows(ExecutionException.class, () -> seals.get(30, TimeUnit.SECONDS));
    assertTrue(e.getCause() instanceof IllegalStateException, e::toString);
    assertTrue(e.toString().contains("closed"), e::toString);
    write.close();
  }

  /** A landing wakes who seals: that is not a look at the clock. */
  @Test
  void seal_manyAsyncWritesLandOneByOne_waitsForAll() throws Exception {
    try (GuestMemory memory = memory(Duration.ofHours(1))) {
      memory.addSlot(0, 0, SIZE);
      List<AsyncWrite> writes = new ArrayList<>();
      for (int i = 0; i < 1000; i++) {
        writes.add(memory.device().beginWrite(i * 8L, 8));
      }
      Future<?> disk =
          Threads.start(
              "disk",
              index -> {
                for (AsyncWrite write : writes) {
                  write.close();
                  LockSupport.parkNanos(20_000);
                }
              },
              0);
      memory.seal();
      disk.get();
      memory.unseal();
    }
  }

  @Test
  void seal_asyncWriteIsOpen_waitsUntilItHasLanded() throws Exception {
    try (GuestMemory memory = memory(Duration.ofSeconds(30))) {
      memory.addSlot(0, 0, SIZE);
      AsyncWrite write = memory.device().beginWrite(0, 4096);
      AtomicBoolean landed = new AtomicBoolean();
      Future<?> disk =
          Threads.start(
              "disk",
              index -> {
                while (!isRefused(memory)) {
                  Thread.onSpinWait(); // until the seal has begun
                }
                landed.set(true);
                write.close();
              },
              0);
      memory.seal();
      assertTrue(landed.get());
      disk.get();
      assertEquals(List.of(), errors);
    }
  }

  private static boolean isRefused(GuestMemory memory) {
    try {
      memory.device().beginWrite(0, 1).close();
      return false;
    } catch (SealedException e) {
      return true;
    }
  }

  @Test
  void seal_asyncWriteStaysOpen_namesItAndIsNotSealed() {
    try (GuestMemory memory = memory(Duration.ofMillis(200))) {
      memory.addSlot(0, 0, SIZE);
      AsyncWrite write = memory.device().beginWrite(0x5000, 100);
      IllegalStateException e = assertThrows(IllegalStateException.class, memory::seal);
      assertTrue(String.valueOf(e.getMessage()).contains("AsyncWrite[0x5000 + 100]"), e.toString());
      assertFalse(memory.log().isSealed());
      memory.device().beginWrite(0, 1).close(); // all go on
      write.close();
      memory.seal();
      memory.unseal();
      memory.device().beginWrite(0, 1).close();
    }
  }
}
