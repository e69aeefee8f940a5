package dev.smudge.sync;

import dev.smudge.ring.RingProducer;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/** The steps of {@link VcpuRing#mark}, one at a time: a vCPU that is stopped in the middle. */
final class HalfDoneMark {
  private static final VarHandle SHARED_OF;
  private static final VarHandle PRODUCER_OF;
  private static final VarHandle SHARED = MethodHandles.arrayElementVarHandle(long[].class);
  private static final int UNDER_WAY = 16;

  static {
    try {
      MethodHandles.Lookup lookup =
          MethodHandles.privateLookupIn(VcpuRing.class, MethodHandles.lookup());
      SHARED_OF = lookup.findVarHandle(VcpuRing.class, "shared", long[].class);
      PRODUCER_OF = lookup.findVarHandle(VcpuRing.class, "producer", RingProducer.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private final VcpuRing ring;
  private final int slotId;
  private final long page;

  /** Says what is under way, and sets the bit; the page is nowhere yet. */
  HalfDoneMark(LogVcpu vcpu, LogSlot slot, long page) {
    this.ring = ringOf(vcpu);
    this.slotId = slot.id();
    this.page = page;
    setUnderWay(ring, (long) slotId << 32 | page >>> 6);
    if (slot.live.markWord((int) (page >>> 6), 1L << page) == 0) {
      throw new IllegalStateException("marked before");
    }
  }

  static VcpuRing ringOf(LogVcpu vcpu) {
    VcpuRing ring = vcpu.ring();
    if (ring == null) {
      throw new IllegalStateException("no ring");
    }
    return ring;
  }

  static void setUnderWay(VcpuRing ring, long what) {
    SHARED.setRelease((long[]) SHARED_OF.get(ring), UNDER_WAY, what);
  }

  /** An entry of any content. */
  static boolean push(VcpuRing ring, int slotId, long page) {
    return ((RingProducer) PRODUCER_OF.get(ring)).push(slotId, page);
  }

  /** The rest of the mark. */
  void end() {
    if (!push(ring, slotId, page)) {
      throw new IllegalStateException("no room");
    }
    setUnderWay(ring, -1);
  }
}
