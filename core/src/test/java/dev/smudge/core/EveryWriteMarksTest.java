package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.core.ApiMethods.Call;
import dev.smudge.core.ApiMethods.Effect;
import java.lang.reflect.Modifier;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every way to write guest memory through the API marks what it wrote (Firecracker 6d8c3064f):
 * docs/bugs.md row 21.
 */
@Timeout(600)
class EveryWriteMarksTest {
  /** Public methods of the other types: none of them writes guest memory. */
  private static final Set<String> OF_NO_CONCERN =
      Set.of(
          "GuestMemory.create[]",
          "GuestMemory.over[DirtyLog]",
          "GuestMemory.log[]",
          "GuestMemory.addSlot[int, long, long]",
          "GuestMemory.addSlot[int, long, long, long]",
          "GuestMemory.addSlot[int, long, MemorySegment, long]",
          "GuestMemory.removeSlot[int]",
          "GuestMemory.beginTransaction[]",
          "SlotTransaction.add[int, long, long, long]", // what it changes: SlotTransactionTest
          "SlotTransaction.add[int, long, MemorySegment, long]",
          "SlotTransaction.remove[int]",
          "SlotTransaction.move[int, long]",
          "SlotTransaction.resize[int, long]",
          "SlotTransaction.split[int, long, int]",
          "SlotTransaction.merge[int, int]",
          "SlotTransaction.replaceRam[int, MemorySegment]",
          "SlotTransaction.commit[]",
          "SlotTransaction.removed[]",
          "SlotTransaction.close[]",
          "MemoryListener.begin[]",
          "MemoryListener.regionAdd[GuestSlot]",
          "MemoryListener.regionDel[GuestSlot]",
          "MemoryListener.regionUnchanged[GuestSlot]",
          "MemoryListener.commit[]",
          "MemoryListener.close[]",
          "GuestMemory.addListener[int, MemoryListener]",
          "MemoryListener.tracker[]",
          "GuestMemory.over[DirtyLog, ByteOrder]",
          "GuestSlot.pages[long, long]",
          "GuestMemory.slot[int]",
          "GuestMemory.slots[]",
          "GuestMemory.addVcpu[]",
          "GuestMemory.addVcpu[Runnable]",
          "GuestMemory.device[]",
          "GuestMemory.pages[]", // who writes through it marks what it writes
          "GuestMemory.client[String, InitialView]",
          "GuestMemory.watchPages[GuestSlot, WriteListener]", // WriteWatchMemoryTest
          "GuestMemory.watchBytes[long, long, WriteListener]",
          "GuestMemory.pauseAll[]",
          "AsyncWrite.toString[]",
          "GuestMemory.seal[]",
          "GuestMemory.unseal[]",
          "GuestMemory.close[]",
          "GuestSlot.id[]",
          "GuestSlot.guestAddress[]",
          "GuestSlot.size[]",
          "GuestSlot.pageSize[]",
          "GuestSlot.pageCount[]",
          "GuestSlot.ram[]", // raw: the caller marks
          "GuestSlot.address[]", // raw, too
          "GuestSlot.needsMarks[]",
          "GuestSlot.adviseHugePages[]",
          "GuestSlot.toString[]",
          "Vcpu.window[long, long]", // WriteWindowTest
          "WriteWindow.ram[]", // marks, then raw: WriteWindowTest
          "WriteWindow.isClosed[]",
          "WriteWindow.toString[]",
          "GuestAccessException.address[]",
          "GuestAccessException.length[]");

  private static final Class<?>[] PUBLIC_TYPES = {
    AsyncWrite.class,
    DeviceMemory.class,
    GuestAccessException.class,
    GuestMemory.class,
    GuestSlot.class,
    MemoryListener.class,
    SlotTransaction.class,
    Vcpu.class,
    VcpuAtomics.class,
    WriteWindow.class
  };

  @Test
  void bug21_everyPublicMethod_isClassified() {
    Set<String> declared = new TreeSet<>();
    for (Class<?> type : PUBLIC_TYPES) {
      Arrays.stream(type.getDeclaredMethods())
          .filter(method -> Modifier.isPublic(method.getModifiers()) && !method.isSynthetic())
          .map(ApiMethods::signature)
          .forEach(declared::add);
    }
    Set<String> known = new TreeSet<>(OF_NO_CONCERN);
    ApiMethods.all().map(Call::method).forEach(known::add);
    assertEquals(
        known, declared, "a new method has to be added to ApiMethods, with what it does to memory");
  }

  @Test
  void bug21_everyPublicType_isListed() throws Exception {
    Set<String> found = new TreeSet<>();
    var location =
        java.nio.file.Path.of(
            GuestMemory.class.getProtectionDomain().getCodeSource().getLocation().toURI());
    try (Stream<java.nio.file.Path> files =
        java.nio.file.Files.list(location.resolve("dev/smudge/core"))) {
      for (java.nio.file.Path file : (Iterable<java.nio.file.Path>) files::iterator) {
        String name = String.valueOf(file.getFileName());
        if (name.endsWith(".class") && !name.startsWith("package-info")) {
          Class<?> type = Class.forName("dev.smudge.core." + name.replace(".class", ""));
          if (Modifier.isPublic(type.getModifiers())) {
            found.add(type.getName());
          }
        }
      }
    }
    Set<String> listed = new TreeSet<>();
    Arrays.stream(PUBLIC_TYPES).map(Class::getName).forEach(listed::add);
    assertEquals(listed, found);
  }

  static Stream<Call> calls() {
    return ApiMethods.all();
  }

  /** Inside pages, over their borders and that of slots, at both ends of slots. */
  private static Set<Long> addresses(Call call) {
    Set<Long> addresses = new HashSet<>();
    long page = TestGuest.PAGE;
    for (long border = TestGuest.LOW; border <= TestGuest.END; border += page) {
      for (int before = 0; before <= Math.max(call.length(), 1); before++) {
        addresses.add(border - before);
      }
      addresses.add(border + page / 2);
    }
    addresses.removeIf(address ->
        (call.aligned() && address % call.length() != 0)
            || slotOf(address + Math.max(call.length(), 1) - 1) == 0
            || slotOf(address) == 0);
    return call.length() < 100
        ? addresses
        : addresses.stream().filter(a -> a % 7 < 2).collect(java.util.stream.Collectors.toSet());
  }

  private static int slotOf(long address) {
    return address < TestGuest.LOW || address >= TestGuest.END
        ? 0
        : address < TestGuest.NEXT ? 4 : 9;
  }

  @ParameterizedTest
  @MethodSource("calls")
  void bug21_everyWayToWrite_marks(Call call) {
    try (TestGuest guest = new TestGuest()) {
      for (long address : addresses(call)) {
        String what = call + " at 0x" + Long.toHexString(address);
        boolean writes = call.effect() != Effect.NONE;
        Map<Integer, BitSet> pages =
            writes ? Dirty.pages(guest.memory, address, call.length()) : Map.of();
        call.action().run(guest, address); // the pages are armed
        assertEquals(pages, Dirty.take(guest.client), what);
        guest.assertWritten(address, writes ? call.length() : 0, what);
        guest.refill();
        call.action().run(guest, address); // armed again by the take
        guest.refill();
        call.action().run(guest, address); // marked already
        assertEquals(pages, Dirty.take(guest.client), what + ", again");
        guest.refill();
        if (writes) {
          guest.vcpu.putByte(address, (byte) 0);
          guest.refill();
          call.action().run(guest, address); // the first page is marked already
          assertEquals(pages, Dirty.take(guest.client), what + ", its first page dirty");
          guest.refill();
        }
      }
    }
  }
}
