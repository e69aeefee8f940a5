package dev.smudge.sync.internal.vcpu;

import dev.smudge.sync.internal.event.RingFullEvent;
import org.jspecify.annotations.Nullable;

/**
 * What one vCPU made dirty, and how it is slowed down when that is too much: at its safepoints it
 * waits for room in its ring, or does what its policy says, and waits for its dirty limit. By the
 * vCPU's thread, but for {@link #limitDirtyRate} and {@link #counts}.
 */
public final class VcpuPressure {
  /** A shorter wait is put off. */
  private static final long MIN_LIMIT_WAIT_NANOS = 100_000;

  private final VcpuGroup group;
  private final VcpuState vcpu;
  private final @Nullable RingRoom ring;
  private final Runnable ringFull;
  private final DirtyLimit limit = new DirtyLimit();
  private final VcpuCounts counts = new VcpuCounts();

  VcpuPressure(VcpuGroup group, VcpuState vcpu, @Nullable RingRoom ring, Runnable ringFull) {
    this.group = group;
    this.vcpu = vcpu;
    this.ring = ring;
    this.ringFull = ringFull;
  }

  /** {@return what the vCPU counts; from any thread} */
  public VcpuCounts counts() {
    return counts;
  }

  /**
   * Counts pages that the vCPU has made dirty.
   *
   * @param pages how many went from clean to dirty
   * @param bytes their size
   */
  public void madeDirty(long pages, long bytes) {
    counts.addDirtyPages(pages);
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
      ringFull.run();
      if (!vcpu.isSession(session)) {
        return; // the policy took it offline, or gave it away
      }
    }
    if (limit.pay(System.nanoTime()) >= MIN_LIMIT_WAIT_NANOS) {
      vcpu.waitAside(() -> group.pressure().awaitPaid(limit));
    }
  }

  /** Waits, offline, until the ring has room, nobody collects, or the thread is interrupted. */
  public void awaitRoom() {
    RingRoom full = ring;
    vcpu.checkOwner();
    vcpu.checkNotInArmCallback("a wait for room in the ring");
    if (full == null || !group.pressure().isWaitedForRoom(full)) {
      return;
    }
    counts.addFullWait();
    RingFullEvent event = new RingFullEvent();
    event.begin();
    vcpu.waitAside(() -> awaitRoomAside(full));
    if (event.shouldCommit()) {
      event.vcpu = vcpu.index();
      event.commit();
    }
  }

  private void awaitRoomAside(RingRoom full) {
    long session = vcpu.session();
    boolean room = group.pressure().awaitRoom(full);
    if (!room) {
      group.handlerInAWait().accept(waitsForRoom(full));
    }
    while (!room && vcpu.isSession(session)) { // not if the handler took it offline
      room = group.pressure().awaitRoom(full);
    }
  }

  private RuntimeException waitsForRoom(RingRoom full) {
    return vcpu.misuse(
        "vCPU "
            + vcpu.index()
            + " ("
            + Thread.currentThread()
            + ") has waited "
            + group.timeoutMillis()
            + " ms for a reset of its "
            + full
            + ": a client has to take, or a reaper to run (DirtyLog.reaper), or the policy has to be"
            + " another than RingFullPolicy.WAIT");
  }
}
