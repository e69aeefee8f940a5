package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.ApiMethods.Call;
import dev.smudge.core.ApiMethods.Effect;
import dev.smudge.sync.error.SealedException;
import dev.smudge.testbase.StackSqueeze;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Late writers after the final collection (Cloud Hypervisor c194f63cf): docs/bugs.md row 24. */
@ParameterizedClass
@EnumSource(LogKind.class)
@Timeout(120)
@Tag("long")
class WriteAfterSealTest {
  private final LogKind kind;

  WriteAfterSealTest(LogKind kind) {
    this.kind = kind;
  }

  private static final long PLACE = TestGuest.LOW + 5 * TestGuest.PAGE;

  /** What the vCPU holds when the guest is sealed. */
  enum Warm {
    /** Nothing. */
    COLD,
    /** A slot, and a page that is dirty. */
    SLOT_AND_PAGE,
    /** A slot; every page of it was taken. */
    SLOT
  }

  /** Who seals. */
  enum Sealer {
    VCPU_ITSELF,
    ANOTHER,
    ANOTHER_WHILE_OFFLINE
  }

  static Stream<Call> writers() {
    return ApiMethods.all().filter(call -> call.effect() == Effect.WRITES);
  }

  /** Warms the cursors, seals, and leaves nothing dirty. */
  private static void seal(TestGuest guest, Warm warm, Sealer sealer) {
    if (warm != Warm.COLD) {
      for (int i = 0; i < 3; i++) {
        guest.vcpu.putLong(TestGuest.LOW, 0);
        guest.vcpu.getLong(TestGuest.LOW);
      }
      guest.vcpu.safepoint();
    }
    if (warm == Warm.SLOT) {
      Dirty.take(guest.client);
      guest.vcpu.safepoint();
    }
    switch (sealer) {
      case VCPU_ITSELF -> guest.memory.seal();
      case ANOTHER_WHILE_OFFLINE -> {
        guest.vcpu.offline();
        guest.memory.seal();
      }
      case ANOTHER -> TestGuest.whileAtSafepoints(guest.vcpu, guest.memory::seal);
    }
    Dirty.take(guest.client);
    guest.refill();
  }

  @ParameterizedTest
  @MethodSource("writers")
  void bug24_writeAfterSeal_isRefusedBeforeRamIsTouched(Call call) {
    for (Warm warm : Warm.values()) {
      for (Sealer sealer : Sealer.values()) {
        String what = call + ", " + warm + ", sealed by " + sealer;
        try (TestGuest guest = new TestGuest(kind)) {
          seal(guest, warm, sealer);
          for (int i = 0; i < 2; i++) {
            SealedException refused =
                assertThrows(SealedException.class, () -> call.action().run(guest, PLACE), what);
            assertTrue(
                String.valueOf(refused.getMessage()).contains(Long.toHexString(PLACE)),
                refused.getMessage());
          }
          guest.assertUntouched(what);
          guest.assertClean(what);
          assertEquals(List.of(), guest.errors, what);

          guest.memory.unseal();
          call.action().run(guest, PLACE);
          assertEquals(
              Dirty.pages(guest.low, PLACE, call.length()), Dirty.take(guest.client), what);
          guest.assertWritten(PLACE, call.length(), what);
          assertEquals(List.of(), guest.errors, what);
        }
      }
    }
  }

  /** The log beneath is the memory's: what unseals it lets every writer go on. */
  @Test
  void unseal_ofTheLogBeneath_asynchronousWritesGoOnToo() {
    try (TestGuest guest = new TestGuest(kind)) {
      guest.memory.seal();
      assertThrows(SealedException.class, () -> guest.memory.device().beginWrite(PLACE, 600));
      guest.memory.log().unseal();
      guest.memory.device().putByte(PLACE, TestGuest.WRITTEN);
      guest.memory.device().beginWrite(PLACE, 600).close();
      assertEquals(Dirty.pages(guest.low, PLACE, 600), Dirty.take(guest.client));
      assertEquals(List.of(), guest.errors);
    }
  }

  @Test
  void bug24_asyncWriteUnderWayAtSeal_isReportedAndDirty() {
    try (TestGuest guest = new TestGuest(kind)) {
      AsyncWrite write = guest.memory.device().beginWrite(PLACE, 600);
      guest.memory.log().seal(); // the memory's waits for it
      guest.assertClean("not landed");
      write.target().fill(TestGuest.WRITTEN);
      assertEquals(List.of(), guest.errors);
      write.close();
      assertEquals(1, guest.errors.size());
      assertEquals(SealedException.class, guest.errors.getFirst().getClass());
      assertEquals(Dirty.pages(guest.low, PLACE, 600), Dirty.take(guest.client));
      assertThrows(SealedException.class, () -> guest.memory.device().beginWrite(PLACE, 600));
    }
  }

  @Test
  void bug24_marksAfterSeal_areReportedAndDirty() {
    for (Warm warm : Warm.values()) {
      for (Sealer sealer : Sealer.values()) {
        try (TestGuest guest = new TestGuest(kind)) {
          seal(guest, warm, sealer);
          guest.vcpu.mark(PLACE, 600);
          assertEquals(1, guest.errors.size(), warm + ", " + sealer);
          guest.memory.device().mark(PLACE, 600);
          assertEquals(2, guest.errors.size(), warm + ", " + sealer);
          assertEquals(Dirty.pages(guest.low, PLACE, 600), Dirty.take(guest.client));
        }
      }
    }
  }

  @Test
  void bug24_readsAfterSeal_goOn() {
    try (TestGuest guest = new TestGuest(kind)) {
      seal(guest, Warm.SLOT_AND_PAGE, Sealer.ANOTHER);
      assertEquals(TestGuest.FILLED, guest.vcpu.getByte(PLACE));
      assertEquals(0x5555, guest.atomics.getVolatile(PLACE, 2));
    }
  }

  /** Written before the seal, refused under it, written after it: all is found but the refused. */
  @Test
  void bug24_unseal_guestRunsOnWithNothingLost() {
    Random random = TestRandom.of("unseal");
    try (TestGuest guest = new TestGuest(kind)) {
      for (int round = 0; round < 100; round++) {
        Map<Integer, BitSet> written = new TreeMap<>();
        for (int phase = 0; phase < 3; phase++) {
          for (int i = random.nextInt(5); i > 0; i--) {
            long offset = random.nextLong(TestGuest.LOW_SIZE - 8);
            boolean device = random.nextBoolean();
            if (phase == 1) {
              assertThrows(SealedException.class, () -> put(guest, device, offset));
            } else {
              put(guest, device, offset);
              Dirty.add(written, guest.low, TestGuest.LOW + offset, 8);
            }
          }
          if (phase == 0) {
            if (random.nextBoolean()) {
              guest.vcpu.safepoint();
            }
            guest.memory.seal();
          } else if (phase == 1) {
            guest.memory.unseal();
          }
          if (random.nextInt(4) == 0) {
            assertEquals(written, Dirty.take(guest.client), "round " + round);
            written.clear();
          }
        }
        assertEquals(written, Dirty.take(guest.client), "round " + round);
      }
      assertEquals(List.of(), guest.errors);
    }
  }

  private static void put(TestGuest guest, boolean device, long offset) {
    if (device) {
      guest.memory.device().putLong(TestGuest.LOW + offset, offset);
    } else {
      guest.vcpu.putLong(TestGuest.LOW + offset, offset);
    }
  }

  @Test
  void bug24_stackEndsInSeal_asynchronousWritesGoOnAfterwards() {
    try (TestGuest guest = new TestGuest(kind)) {
      int errors =
          StackSqueeze.squeeze(
              () -> guest.memory.device().beginWrite(PLACE, 8).close(),
              guest.memory::seal,
              thrown -> {
                guest.memory.unseal();
                guest.memory.device().beginWrite(PLACE, 8).close();
              });
      assertTrue(errors > 3, errors + " errors");
    }
  }

  /**
   * A seal amid writers. What vCPUs write is in the last take; what a device writes is, or makes
   * its page dirty again and is reported.
   */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void bug24_sealAmidWriters_everyWriteInTheLastTakeOrReported(boolean withDevice) {
    for (int round = 0; round < 40; round++) {
      try (TestGuest guest = new TestGuest(kind)) {
        AtomicInteger started = new AtomicInteger();
        AtomicBoolean sealed = new AtomicBoolean();
        List<FutureTask<Void>> writers = new ArrayList<>();
        writers.add(
            Threads.start("vcpu", index -> writeUntilSealed(guest, false, started, sealed), 0));
        if (withDevice) {
          writers.add(
              Threads.start("device", index -> writeUntilSealed(guest, true, started, sealed), 1));
        }
        while (started.get() < writers.size()) {
          Thread.onSpinWait();
        }
        guest.memory.seal();
        sealed.set(true);
        Dirty.take(guest.client);
        byte[] sent = guest.low.ram().toArray(ValueLayout.JAVA_BYTE);
        Threads.joinAll(writers);
        byte[] last = guest.low.ram().toArray(ValueLayout.JAVA_BYTE);
        BitSet late = Dirty.take(guest.client).getOrDefault(guest.low.id(), new BitSet());
        if (withDevice) {
          late.stream()
              .forEach(page -> {
                int from = page * TestGuest.PAGE;
                System.arraycopy(last, from, sent, from, TestGuest.PAGE);
              });
          assertTrue(late.isEmpty() || !guest.errors.isEmpty(), "late pages are reported");
        } else {
          assertTrue(late.isEmpty(), () -> "late pages " + late);
        }
        assertArrayEquals(last, sent);
      }
    }
  }

  private static void writeUntilSealed(
      TestGuest guest, boolean device, AtomicInteger started, AtomicBoolean sealed) {
    try {
      for (long i = 0; ; i++) {
        long offset = i * 264 % (TestGuest.LOW_SIZE - 8);
        boolean late = sealed.get();
        if (device) {
          guest.memory.device().putLong(TestGuest.LOW + offset, i);
        } else {
          guest.vcpu.putLong(TestGuest.LOW + offset, ~i);
          guest.vcpu.safepoint();
        }
        assertFalse(late, "written after the seal");
        if (i == 1000) {
          started.incrementAndGet();
        }
      }
    } catch (SealedException e) {
      if (!device) {
        guest.vcpu.offline();
      }
    }
  }
}
