package dev.smudge.sync.internal.software;

import dev.smudge.bitmap.ReportedBitmap;
import dev.smudge.ring.RingProducer;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** The steps of {@link VcpuRing#mark}, one at a time: a vCPU that is stopped in the middle. */
public final class HalfDoneMark {
  private static final VarHandle SHARED_OF;
  private static final VarHandle PRODUCER_OF;
  private static final VarHandle MARKED_OF;
  private static final VarHandle SHARED = MethodHandles.arrayElementVarHandle(long[].class);
  private static final int UNDER_WAY = 16;

  static {
    try {
      MethodHandles.Lookup lookup =
          MethodHandles.privateLookupIn(VcpuRing.class, MethodHandles.lookup());
      SHARED_OF = lookup.findVarHandle(VcpuRing.class, "shared", long[].class);
      MARKED_OF = lookup.findVarHandle(VcpuRing.class, "marked", ReportedBitmap.class);
      PRODUCER_OF = lookup.findVarHandle(VcpuRing.class, "producer", RingProducer.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private final VcpuRing ring;
  private final int slotId;
  private final long page;

  /** Says what is under way, and sets the bit; the page is nowhere yet. */
  public HalfDoneMark(VcpuMarks marks, @Nullable Object live, int slotId, long page) {
    this.ring = ringOf(marks);
    this.slotId = slotId;
    this.page = page;
    MARKED_OF.set(ring, (ReportedBitmap) Objects.requireNonNull(live));
    setUnderWay(ring, (long) slotId << 32 | page >>> 6);
    if (((ReportedBitmap) Objects.requireNonNull(live)).markWord((int) (page >>> 6), 1L << page)
        == 0) {
      throw new IllegalStateException("marked before");
    }
  }

  static VcpuRing ringOf(VcpuMarks marks) {
    if (marks instanceof VcpuRing ring) {
      return ring;
    }
    throw new IllegalStateException("no ring");
  }

  /** Says that something is under way. */
  public static void setUnderWay(VcpuMarks marks, long what) {
    setUnderWay(ringOf(marks), what);
  }

  /** An entry of any content. */
  public static boolean push(VcpuMarks marks, int slotId, long page) {
    return push(ringOf(marks), slotId, page);
  }

  private static void setUnderWay(VcpuRing ring, long what) {
    SHARED.setRelease((long[]) SHARED_OF.get(ring), UNDER_WAY, what);
  }

  private static boolean push(VcpuRing ring, int slotId, long page) {
    return ((RingProducer) PRODUCER_OF.get(ring)).push(slotId, page);
  }

  /** The rest of the mark. */
  public void end() {
    if (!push(ring, slotId, page)) {
      throw new IllegalStateException("no room");
    }
    setUnderWay(ring, -1);
  }
}
