package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * A guest with RAM full of one value: slots 4 and 9 side by side, a gap, and slot 1 at the end of
 * the address space, whose RAM holds another value to copy from.
 */
final class TestGuest implements AutoCloseable {
  static final int PAGE = 256;
  static final byte FILLED = 0x55;
  static final byte WRITTEN = 0x11;

  static final long LOW = 0x8000_0000L;
  static final long LOW_SIZE = 70 * PAGE;
  static final long NEXT = LOW + LOW_SIZE;
  static final long NEXT_SIZE = 5 * PAGE;
  static final long END = NEXT + NEXT_SIZE;
  static final long TOP = -8L * PAGE;

  final List<Throwable> errors = new CopyOnWriteArrayList<>();
  final GuestMemory memory;
  final GuestSlot low;
  final GuestSlot next;
  final GuestSlot top;
  final Vcpu vcpu;
  final VcpuAtomics atomics;
  final VcpuAtomics atomicsBe;
  final DirtyClient<GuestSlot> client;

  TestGuest() {
    this(LogKind.BITMAP);
  }

  TestGuest(LogKind kind) {
    memory = GuestMemory.over(kind.builder().errorHandler(errors::add).build());
    low = memory.addSlot(4, LOW, LOW_SIZE, PAGE);
    next = memory.addSlot(9, NEXT, NEXT_SIZE, PAGE);
    top = memory.addSlot(1, TOP, 8 * PAGE, PAGE);
    vcpu = memory.addVcpu();
    atomics = vcpu.atomics();
    atomicsBe = new VcpuAtomics(vcpu, true);
    client = memory.client("test", InitialView.NONE_DIRTY);
    refill();
  }

  /** Runs something in another thread, while the caller runs the vCPU and passes safepoints. */
  static void whileAtSafepoints(Vcpu vcpu, Runnable body) {
    var task = Threads.start("test", index -> body.run(), 0);
    while (!task.isDone()) {
      vcpu.safepoint();
    }
    Threads.joinAll(List.of(task));
  }

  /** Behind the back of the tracker. */
  void refill() {
    low.ram().fill(FILLED);
    next.ram().fill(FILLED);
    top.ram().fill(WRITTEN);
  }

  /** Every byte of the range was overwritten, no other was. */
  void assertWritten(long address, long length, String what) {
    for (GuestSlot each : memory.slots()) {
      byte untouched = each == top ? WRITTEN : FILLED;
      byte[] bytes = each.ram().toArray(ValueLayout.JAVA_BYTE);
      long start = each.guestAddress();
      int from = (int) Math.clamp(address - start, 0, each.size());
      int to = (int) Math.clamp(address + length - start, from, each.size());
      for (int offset = from; offset < to; offset++) {
        assertTrue(bytes[offset] != untouched, what + ": not written, byte " + offset);
      }
      Arrays.fill(bytes, from, to, untouched);
      byte[] all = new byte[bytes.length];
      Arrays.fill(all, untouched);
      assertEquals(-1, Arrays.mismatch(all, bytes), () -> what + ": written outside, in " + each);
    }
  }

  void assertUntouched(String what) {
    assertWritten(LOW, 0, what);
  }

  void assertClean(String what) {
    assertEquals(Map.<Integer, BitSet>of(), Dirty.take(client), what);
  }

  @Override
  public void close() {
    memory.close();
  }
}
