package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.ApiMethods.Call;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Bad accesses: the documented exception, and neither RAM nor dirty state changed. */
@Timeout(120)
class AccessErrorsTest {
  private static final int PAGE = TestGuest.PAGE;
  private static final long LOW = TestGuest.LOW;

  static Stream<Call> calls() {
    return ApiMethods.all().filter(Call::checksAddress);
  }

  /** Addresses at which {@code length} bytes are not all in slots. */
  private static Set<Long> badAddresses(int length) {
    Set<Long> bad = new TreeSet<>();
    for (int inside = 0; inside < length; inside += length < 100 ? 1 : 37) {
      bad.add(LOW - length + inside); // begins before every slot
      bad.add(TestGuest.END - inside); // ends after
      bad.add(TestGuest.TOP - length + inside);
      bad.add((long) -inside); // wraps round
    }
    bad.addAll(List.of(0L, 1L, 8L, Long.MAX_VALUE, Long.MAX_VALUE - 7, Long.MIN_VALUE));
    bad.addAll(List.of(TestGuest.TOP - length, LOW - length, LOW - 1, LOW + (1L << 32)));
    bad.addAll(List.of(LOW | Long.MIN_VALUE, LOW - (1L << 32), TestGuest.END + PAGE));
    return bad;
  }

  /** Warms both cursors in the slot whose border is tried, leaves everything clean. */
  private static void warm(TestGuest guest, long address) {
    guest.vcpu.putLong(address, 0);
    guest.vcpu.putLong(address, 0);
    guest.vcpu.getLong(address);
    Dirty.take(guest.client);
    guest.refill();
  }

  @ParameterizedTest
  @MethodSource("calls")
  void access_outsideOrAcross_isRefusedAndNothingChanges(Call call) {
    try (TestGuest guest = new TestGuest()) {
      long[] warmAt = {0, LOW, TestGuest.NEXT - 8, TestGuest.NEXT, TestGuest.END - 8, -8};
      for (long at : warmAt) {
        if (at != 0) {
          warm(guest, at);
        }
        for (long address : badAddresses(call.length())) {
          String what = call + " at 0x" + Long.toHexString(address) + ", warm at " + at;
          GuestAccessException refused =
              assertThrows(
                  GuestAccessException.class, () -> call.action().run(guest, address), what);
          assertEquals(address, refused.address(), what);
          assertEquals(call.length(), refused.length(), what);
          assertTrue(
              String.valueOf(refused.getMessage()).contains(Long.toHexString(address)), what);
        }
        guest.assertClean(call + ", warm at " + at);
        guest.assertUntouched(call + ", warm at " + at);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("calls")
  void atomics_misaligned_areRefusedAndNothingChanges(Call call) {
    if (!call.aligned()) {
      return;
    }
    try (TestGuest guest = new TestGuest()) {
      for (int cold = 1; cold >= 0; cold--) {
        for (int off = 1; off < call.length(); off++) {
          long address = LOW + 16 + off;
          assertThrows(GuestAccessException.class, () -> call.action().run(guest, address));
        }
        guest.assertClean("refused");
        guest.assertUntouched("refused");
        warm(guest, LOW);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 3, 5, 6, 7, 9, 16, -1, -8, Integer.MIN_VALUE, Integer.MAX_VALUE})
  void atomics_anotherWidth_isRefusedAndNothingChanges(int width) {
    try (TestGuest guest = new TestGuest()) {
      for (AtomicOperation operation : AtomicOperation.values()) {
        for (VcpuAtomics atomics : List.of(guest.atomics, guest.atomicsBe)) {
          assertThrows(
              IllegalArgumentException.class, () -> operation.run(atomics, LOW, width, 0, 1));
        }
      }
      guest.assertClean("refused");
      guest.assertUntouched("refused");
    }
  }

  private record Bulk(String name, Executable call) {}

  private static List<Bulk> bulk(TestGuest g, long address, long length) {
    DeviceMemory device = g.memory.device();
    List<Bulk> all = new ArrayList<>();
    all.add(new Bulk("fill", () -> g.vcpu.fill(address, length, (byte) 1)));
    all.add(new Bulk("copy to", () -> g.vcpu.copy(TestGuest.TOP, address, length)));
    all.add(new Bulk("copy from", () -> g.vcpu.copy(address, TestGuest.TOP, length)));
    all.add(new Bulk("mark", () -> g.vcpu.mark(address, length)));
    all.add(new Bulk("device fill", () -> device.fill(address, length, (byte) 1)));
    all.add(new Bulk("device mark", () -> device.mark(address, length)));
    all.add(new Bulk("begin", () -> device.beginWrite(address, length)));
    return all;
  }

  @ParameterizedTest
  @ValueSource(
      longs = {
        -1,
        -8,
        -256,
        Integer.MIN_VALUE,
        Long.MIN_VALUE,
        Long.MIN_VALUE + 1,
        1L << 32,
        Long.MAX_VALUE,
        Long.MAX_VALUE - 255,
        TestGuest.LOW_SIZE + TestGuest.NEXT_SIZE + 1
      })
  void bulk_badLength_isRefusedAndNothingChanges(long length) {
    try (TestGuest guest = new TestGuest()) {
      for (long address : new long[] {LOW, LOW + 5, TestGuest.NEXT - 1, TestGuest.NEXT, -1}) {
        for (boolean warm : new boolean[] {false, true}) {
          if (warm) {
            warm(guest, LOW);
          }
          for (Bulk bulk : bulk(guest, address, length)) {
            GuestAccessException refused =
                assertThrows(GuestAccessException.class, bulk.call(), bulk.name() + ", " + address);
            assertEquals(length, refused.length());
          }
        }
        guest.assertClean("refused");
        guest.assertUntouched("refused");
        guest.vcpu.offline();
      }
    }
  }

  /** Whether or not the vCPU was there before. */
  @Test
  void bulk_zeroBytes_insideIsNothingOutsideIsRefused() {
    try (TestGuest guest = new TestGuest()) {
      for (boolean warm : new boolean[] {false, true}) {
        if (warm) {
          warm(guest, TestGuest.NEXT);
        }
        for (long address : new long[] {LOW - 1, 0, TestGuest.END, TestGuest.END + 7}) {
          for (Bulk bulk : bulk(guest, address, 0)) {
            String what = bulk.name() + " at " + Long.toHexString(address) + ", warm " + warm;
            assertThrows(GuestAccessException.class, bulk.call(), what);
          }
        }
        for (long address : new long[] {LOW, TestGuest.NEXT, TestGuest.END - 1, -1}) {
          for (Bulk bulk : bulk(guest, address, 0)) {
            try {
              bulk.call().execute();
            } catch (Throwable e) {
              throw new AssertionError(bulk.name(), e);
            }
          }
        }
        guest.assertClean("nothing written");
        guest.assertUntouched("nothing written");
        guest.vcpu.offline();
      }
    }
  }

  @Test
  void arrays_badRange_isRefusedAndNothingChanges() {
    int[][] ranges = {
      {-1, 4},
      {0, -1},
      {0, 17},
      {16, 1},
      {13, 4},
      {17, 0},
      {Integer.MAX_VALUE, 1},
      {1, Integer.MAX_VALUE},
      {Integer.MIN_VALUE, 4},
      {4, Integer.MIN_VALUE}
    };
    try (TestGuest guest = new TestGuest()) {
      byte[] array = new byte[16];
      for (int[] range : ranges) {
        for (boolean warm : new boolean[] {false, true}) {
          IndexOutOfBoundsException write =
              assertThrows(
                  IndexOutOfBoundsException.class,
                  () -> guest.vcpu.write(LOW, array, range[0], range[1]));
          assertFalse(write instanceof GuestAccessException, "the array's range is wrong");
          assertThrows(
              IndexOutOfBoundsException.class,
              () -> guest.vcpu.read(LOW, array, range[0], range[1]));
          if (warm) {
            warm(guest, LOW); // for the next
          }
        }
      }
      org.junit.jupiter.api.Assertions.assertArrayEquals(new byte[16], array);
      guest.assertClean("refused");
      guest.assertUntouched("refused");
    }
  }

  @Test
  void copy_partsOutside_nothingIsWritten() {
    try (TestGuest guest = new TestGuest()) {
      warm(guest, LOW);
      assertThrows(GuestAccessException.class, () -> guest.vcpu.copy(LOW, TestGuest.END - 4, 8));
      assertThrows(GuestAccessException.class, () -> guest.vcpu.copy(TestGuest.END - 4, LOW, 8));
      assertThrows(GuestAccessException.class, () -> guest.vcpu.copy(-4, LOW, 8));
      guest.assertClean("refused");
      guest.assertUntouched("refused");
    }
  }

  @Test
  void accesses_noSlots_areRefused() {
    try (GuestMemory memory = GuestMemory.create()) {
      Vcpu vcpu = memory.addVcpu();
      for (long address : new long[] {0, 1, -1, Long.MIN_VALUE}) {
        assertThrows(GuestAccessException.class, () -> vcpu.putByte(address, (byte) 1));
        assertThrows(GuestAccessException.class, () -> vcpu.getByte(address));
        assertThrows(GuestAccessException.class, () -> memory.device().putByte(address, (byte) 1));
        assertThrows(GuestAccessException.class, () -> vcpu.fill(address, 0, (byte) 1));
      }
    }
  }
}
