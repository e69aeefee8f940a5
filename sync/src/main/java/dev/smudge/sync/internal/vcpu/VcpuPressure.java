package dev.smudge.sync.internal.vcpu;

import dev.smudge.sync.internal.counter.VcpuCounters;
import org.jspecify.annotations.Nullable;

/**
 * What one vCPU made dirty, and how it is slowed down when that is too much: at its safepoints it
 * does what its policy says if its ring is soft full ({@link RingFullWait} is one policy), and
 * waits for its dirty limit ({@link DirtyLimit}). By the vCPU's thread, but for {@link
 * #limitDirtyRate} and {@link #counters}.
 */
public final class VcpuPressure {
  /** A shorter wait is put off. */
  private static final long MIN_LIMIT_WAIT_NANOS = 100_000;

  private final VcpuGroup group;
  private final VcpuState vcpu;
  private final @Nullable RingRoom ring;
  private final RingFullWait ringFullWait;
  private final Runnable ringFullPolicy;
  private final DirtyLimit limit = new DirtyLimit();
  private final VcpuCounters counters = new VcpuCounters();

  VcpuPressure(VcpuGroup group, VcpuState vcpu, @Nullable RingRoom ring, Runnable ringFullPolicy) {
    this.group = group;
    this.vcpu = vcpu;
    this.ring = ring;
    this.ringFullWait = new RingFullWait(group, vcpu, ring);
    this.ringFullPolicy = ringFullPolicy;
  }

  /** {@return what the vCPU counts; from any thread} */
  public VcpuCounters counters() {
    return counters;
  }

  /** {@return how the vCPU waits for room in its ring} */
  public RingFullWait ringFullWait() {
    return ringFullWait;
  }

  /**
   * Counts pages that the vCPU has made dirty.
   *
   * @param pages how many went from clean to dirty
   * @param bytes their size
   */
  public void madeDirty(long pages, long bytes) {
    counters.addDirtyPages(pages);
    if (limit.add(bytes) || (ring != null && ring.isSoftFull())) {
      vcpu.press();
    }
  }

  /**
   * Limits how much the vCPU makes dirty. From any thread.
   *
   * @param bytesPerSecond more than 0; {@code Long.MAX_VALUE}: no limit
   */
  public void limitDirtyRate(long bytesPerSecond) {
    if (bytesPerSecond <= 0) {
      throw new IllegalArgumentException(
          "a dirty limit of "
              + bytesPerSecond
              + " bytes a second: it has to be more than 0 (Long.MAX_VALUE: no limit)");
    }
    limit.set(bytesPerSecond);
    group.pressure().wake();
  }

  /** At a safepoint: here the vCPU waits, or does what it is told to, and never in a block. */
  void relieve() {
    long session = vcpu.session();
    if (ring != null && ring.isSoftFull()) {
      ringFullPolicy.run();
      if (!vcpu.isSession(session)) {
        return; // the policy took it offline, or gave it away
      }
    }
    if (limit.pay(System.nanoTime()) >= MIN_LIMIT_WAIT_NANOS) {
      vcpu.waitAside(() -> group.pressure().awaitPaid(limit));
    }
  }
}
