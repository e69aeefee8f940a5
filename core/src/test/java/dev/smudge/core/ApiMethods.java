package dev.smudge.core;

import static dev.smudge.core.TestGuest.WRITTEN;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/**
 * Every public method through which guest memory is reached, each with what it does to it. {@code
 * EveryWriteMarksTest} checks that none is missing.
 */
final class ApiMethods {
  enum Effect {
    /** Writes its whole range, and marks it. */
    WRITES,
    /** Marks its range; the test itself has written it. */
    MARKS,
    /** Reads or does nothing of the kind. */
    NONE
  }

  interface Action {
    void run(TestGuest guest, long address);
  }

  /**
   * One call.
   *
   * @param method as {@link #signature} has it
   * @param length bytes it reaches
   * @param aligned whether the address has to be a multiple of the length
   * @param checksAddress whether it takes a guest address, and refuses a bad one
   */
  record Call(
      String method,
      Effect effect,
      int length,
      boolean aligned,
      boolean checksAddress,
      Action action) {
    @Override
    public String toString() {
      return method + " of " + length;
    }
  }

  private static final int BULK = 600; // pages are 256: reaches over two borders at least
  private static final long ONES = 0x1111_1111_1111_1111L;

  static final List<Call> ALL = new ArrayList<>();

  private ApiMethods() {}

  static Stream<Call> all() {
    return ALL.stream();
  }

  static String signature(java.lang.reflect.Method method) {
    return method.getDeclaringClass().getSimpleName()
        + "."
        + method.getName()
        + Arrays.stream(method.getParameterTypes()).map(Class::getSimpleName).toList();
  }

  private static void writes(String method, int length, Action action) {
    ALL.add(new Call(method, Effect.WRITES, length, false, true, action));
  }

  private static void reads(String method, int length, Action action) {
    ALL.add(new Call(method, Effect.NONE, length, false, true, action));
  }

  private static void none(String method, Action action) {
    ALL.add(new Call(method, Effect.NONE, 0, false, false, action));
  }

  private static void raw(TestGuest guest, long address, int length) {
    if (Dirty.pages(guest.memory, address, 1).isEmpty()
        || Dirty.pages(guest.memory, address + length - 1, 1).isEmpty()) {
      throw new GuestAccessException(address, length, "in no slot");
    }
    for (GuestSlot slot : guest.memory.slots()) {
      long from = Math.clamp(address - slot.guestAddress(), 0, slot.size());
      long to = Math.clamp(address + length - slot.guestAddress(), from, slot.size());
      slot.ram().asSlice(from, to - from).fill(WRITTEN);
    }
  }

  private static MemorySegment source() {
    byte[] bytes = new byte[BULK];
    Arrays.fill(bytes, WRITTEN);
    return MemorySegment.ofArray(bytes);
  }

  static {
    accessors();
    bulk();
    device();
    for (int width = 1; width <= 8; width *= 2) {
      atomics(width);
    }
    others();
  }

  private static void accessors() {
    writes("Vcpu.putByte[long, byte]", 1, (g, a) -> g.vcpu.putByte(a, WRITTEN));
    writes("Vcpu.putShort[long, short]", 2, (g, a) -> g.vcpu.putShort(a, (short) ONES));
    writes("Vcpu.putInt[long, int]", 4, (g, a) -> g.vcpu.putInt(a, (int) ONES));
    writes("Vcpu.putLong[long, long]", 8, (g, a) -> g.vcpu.putLong(a, ONES));
    none("Vcpu.isRam[long, long]", (g, a) -> assertTrue(g.vcpu.isRam(TestGuest.LOW, 600)));
    reads("Vcpu.getByte[long]", 1, (g, a) -> g.vcpu.getByte(a));
    reads("Vcpu.getShort[long]", 2, (g, a) -> g.vcpu.getShort(a));
    reads("Vcpu.getInt[long]", 4, (g, a) -> g.vcpu.getInt(a));
    reads("Vcpu.getLong[long]", 8, (g, a) -> g.vcpu.getLong(a));
  }

  private static void bulk() {
    writes("Vcpu.write[long, MemorySegment]", BULK, (g, a) -> g.vcpu.write(a, source()));
    writes(
        "Vcpu.write[long, byte[], int, int]",
        BULK,
        (g, a) ->
            g.vcpu.write(a, source().toArray(java.lang.foreign.ValueLayout.JAVA_BYTE), 0, BULK));
    writes("Vcpu.fill[long, long, byte]", BULK, (g, a) -> g.vcpu.fill(a, BULK, WRITTEN));
    writes("Vcpu.copy[long, long, long]", BULK, (g, a) -> g.vcpu.copy(TestGuest.TOP, a, BULK));
    reads(
        "Vcpu.read[long, MemorySegment]",
        BULK,
        (g, a) -> g.vcpu.read(a, MemorySegment.ofArray(new byte[BULK])));
    reads(
        "Vcpu.read[long, byte[], int, int]",
        BULK,
        (g, a) -> g.vcpu.read(a, new byte[BULK], 0, BULK));
    ALL.add(
        new Call(
            "Vcpu.mark[long, long]",
            Effect.MARKS,
            BULK,
            false,
            true,
            (g, a) -> {
              raw(g, a, BULK);
              g.vcpu.mark(a, BULK);
            }));
  }

  private static void writeAs(TestGuest guest, long address) {
    try (DirtyClient<GuestSlot> other = guest.memory.client("other", InitialView.NONE_DIRTY)) {
      guest.memory.device().writeAs(guest.client, address, source());
      assertEquals(Dirty.pages(guest.memory, address, BULK), Dirty.take(other));
      guest.assertWritten(address, BULK, "as the client");
      guest.refill();
    }
  }

  private static void device() {
    writes(
        "DeviceMemory.write[long, MemorySegment]",
        BULK,
        (g, a) -> g.memory.device().write(a, source()));
    reads( // by the client that the test asks: the others are told
        "DeviceMemory.writeAs[DirtyClient, long, MemorySegment]", BULK, (g, a) -> writeAs(g, a));
    writes("DeviceMemory.putByte[long, byte]", 1, (g, a) -> g.memory.device().putByte(a, WRITTEN));
    writes(
        "DeviceMemory.putShort[long, short]",
        2,
        (g, a) -> g.memory.device().putShort(a, (short) ONES));
    reads("DeviceMemory.getByte[long]", 1, (g, a) -> g.memory.device().getByte(a));
    reads("DeviceMemory.getShort[long]", 2, (g, a) -> g.memory.device().getShort(a));
    reads("DeviceMemory.getInt[long]", 4, (g, a) -> g.memory.device().getInt(a));
    reads("DeviceMemory.getLong[long]", 8, (g, a) -> g.memory.device().getLong(a));
    writes("DeviceMemory.putInt[long, int]", 4, (g, a) -> g.memory.device().putInt(a, (int) ONES));
    writes("DeviceMemory.putLong[long, long]", 8, (g, a) -> g.memory.device().putLong(a, ONES));
    writes(
        "DeviceMemory.fill[long, long, byte]",
        BULK,
        (g, a) -> g.memory.device().fill(a, BULK, WRITTEN));
    ALL.add(
        new Call(
            "DeviceMemory.release[long, long]",
            Effect.MARKS,
            BULK,
            false,
            true,
            (g, a) -> {
              g.memory.device().release(a, BULK);
              for (long at = a; at < a + BULK; at++) {
                assertEquals(0, g.memory.device().getByte(at));
              }
              raw(g, a, BULK);
            }));
    ALL.add(
        new Call(
            "DeviceMemory.mark[long, long]",
            Effect.MARKS,
            BULK,
            false,
            true,
            (g, a) -> {
              raw(g, a, BULK);
              g.memory.device().mark(a, BULK);
            }));
    reads(
        "DeviceMemory.read[long, MemorySegment]",
        BULK,
        (g, a) -> g.memory.device().read(a, MemorySegment.ofArray(new byte[BULK])));
    reads(
        "DeviceMemory.beginWrite[long, long]",
        BULK,
        (g, a) -> {
          AsyncWrite write = g.memory.device().beginWrite(a, BULK);
          assertEquals(BULK, write.target().byteSize());
        });
    ALL.add(
        new Call(
            "AsyncWrite.close[]",
            Effect.WRITES,
            BULK,
            false,
            true,
            (g, a) -> {
              AsyncWrite write = g.memory.device().beginWrite(a, BULK);
              write.target().fill(WRITTEN);
              write.close();
            }));
    ALL.add(
        new Call(
            "AsyncWrite.target[]",
            Effect.NONE,
            BULK,
            false,
            true,
            (g, a) -> {
              AsyncWrite write = g.memory.device().beginWrite(a, BULK);
              assertEquals(BULK, write.target().byteSize());
            }));
  }

  private interface Atomic {
    void run(VcpuAtomics atomics, long address);
  }

  private static void atomic(String method, Effect effect, int width, Atomic atomic) {
    ALL.add(
        new Call(
            "VcpuAtomics." + method,
            effect,
            width,
            true,
            true,
            (g, a) -> atomic.run(g.atomics, a)));
    ALL.add(
        new Call(
            "VcpuAtomics." + method,
            effect,
            width,
            true,
            true,
            (g, a) -> atomic.run(g.atomicsBe, a)));
  }

  private static void atomics(int width) {
    long filled = 0x5555_5555_5555_5555L >>> (64 - 8 * width);
    atomic(
        "getVolatile[long, int]",
        Effect.NONE,
        width,
        (atomics, a) -> atomics.getVolatile(a, width));
    atomic(
        "putVolatile[long, int, long]",
        Effect.WRITES,
        width,
        (atomics, a) -> atomics.putVolatile(a, width, ONES));
    atomic(
        "compareAndExchange[long, int, long, long]",
        Effect.WRITES,
        width,
        (atomics, a) -> assertEquals(filled, atomics.compareAndExchange(a, width, filled, ONES)));
    atomic(
        "compareAndExchange[long, int, long, long]",
        Effect.NONE, // it fails
        width,
        (atomics, a) ->
            assertEquals(filled, atomics.compareAndExchange(a, width, filled - 1, ONES)));
    atomic(
        "getAndSet[long, int, long]",
        Effect.WRITES,
        width,
        (atomics, a) -> atomics.getAndSet(a, width, ONES));
    atomic(
        "getAndAdd[long, int, long]",
        Effect.WRITES,
        width,
        (atomics, a) -> atomics.getAndAdd(a, width, ONES));
    atomic(
        "getAndAnd[long, int, long]",
        Effect.WRITES,
        width,
        (atomics, a) -> atomics.getAndAnd(a, width, ONES));
    atomic(
        "getAndOr[long, int, long]",
        Effect.WRITES,
        width,
        (atomics, a) -> atomics.getAndOr(a, width, ~0x5555_5555_5555_5555L));
    atomic(
        "getAndXor[long, int, long]",
        Effect.WRITES,
        width,
        (atomics, a) -> atomics.getAndXor(a, width, ONES));
  }

  private static void others() {
    none("Vcpu.atomics[]", (g, a) -> g.vcpu.atomics());
    none("Vcpu.safepoint[]", (g, a) -> g.vcpu.safepoint());
    none("Vcpu.limitDirtyRate[long]", (g, a) -> g.vcpu.limitDirtyRate(Long.MAX_VALUE));
    none("Vcpu.online[]", (g, a) -> g.vcpu.online());
    none("Vcpu.offline[]", (g, a) -> g.vcpu.offline());
    none(
        "Vcpu.runOnVcpu[Runnable]",
        (g, a) -> {
          g.vcpu.online(); // offline it would run the task when it comes back
          g.vcpu.runOnVcpu(() -> {}).join();
        });
    none("Vcpu.hasSlot[GuestSlot]", (g, a) -> assertTrue(g.vcpu.hasSlot(g.low)));
    none("Vcpu.index[]", (g, a) -> g.vcpu.index());
    none("Vcpu.toString[]", (g, a) -> assertEquals("Vcpu", g.vcpu.toString().substring(0, 4)));
    none("Vcpu.close[]", (g, a) -> g.memory.addVcpu().close());
  }
}
