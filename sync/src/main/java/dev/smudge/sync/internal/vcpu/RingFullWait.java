package dev.smudge.sync.internal.vcpu;

import dev.smudge.sync.error.VcpuException;
import dev.smudge.sync.internal.event.RingFullEvent;
import org.jspecify.annotations.Nullable;

/** How one vCPU waits until its ring, which is soft full, has room again. By its thread. */
public final class RingFullWait {
  private final VcpuGroup group;
  private final VcpuState vcpu;
  private final @Nullable RingRoom ring;

  RingFullWait(VcpuGroup group, VcpuState vcpu, @Nullable RingRoom ring) {
    this.group = group;
    this.vcpu = vcpu;
    this.ring = ring;
  }

  /** Waits, offline, until the ring has room, nobody collects, or the thread is interrupted. */
  public void awaitRoom() {
    RingRoom full = ring;
    vcpu.checkOwner();
    vcpu.checkNotInArmCallback("a wait for room in the ring");
    if (full == null || !group.pressure().isWaitedForRoom(full)) {
      return;
    }
    vcpu.pressure().counters().addFullWait();
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
    return new VcpuException(
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
