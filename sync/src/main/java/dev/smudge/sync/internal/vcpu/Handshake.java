package dev.smudge.sync.internal.vcpu;

import dev.smudge.sync.error.VcpuTimeoutException;
import dev.smudge.sync.internal.event.BarrierEvent;
import dev.smudge.sync.internal.time.Backoff;
import dev.smudge.sync.internal.time.Patience;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import org.jspecify.annotations.Nullable;

/**
 * The after-sync barrier: a request, and its acknowledgement by every vCPU.
 *
 * <pre>
 *   collector                              vCPU
 *   clears live bits                       ... stores, looks at live bits ...
 *   takes request number r, tells all ───▶ safepoint: reads r; drops its write TLB if pages were
 *                                          armed; every earlier store is marked
 *   reads RAM ◀─────────────────────────── acknowledges r
 * </pre>
 *
 * <p>The collector has cleared live bits. It takes a request number r, tells every vCPU, and waits
 * until each has acknowledged r or a later number, is offline, or is dead. A vCPU acknowledges at a
 * safepoint, where every earlier store is marked. A counter that vCPUs increment on their own would
 * not do: a load of a live bit may pass the vCPU's own buffered counter store. Nobody waits for a
 * vCPU while holding a lock. Source: docs/design.md 3.3; QEMU 9458a9a1df1a.
 */
public class Handshake {
  private static final VarHandle REQUESTED;
  private static final VarHandle COMPLETED;
  private static final int SPINS = 200;

  static {
    try {
      MethodHandles.Lookup lookup = MethodHandles.lookup();
      REQUESTED = lookup.findVarHandle(Handshake.class, "requested", long.class);
      COMPLETED = lookup.findVarHandle(Handshake.class, "completed", long.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private final VcpuGroup group;
  private volatile long requested;
  private volatile long completed;
  private volatile long armEpoch;

  Handshake(VcpuGroup group) {
    this.group = group;
  }

  /** The newest request number given out. */
  long requested() {
    return requested;
  }

  /**
   * The newest request number given out. Whoever acknowledges a later one sees what the caller did
   * before this.
   */
  public long requestedAtEndOfFetch() {
    // ORDER S9 volatile: an atomic step, so that the next request (S1) comes after it, and with it
    // after the exchange of the summary (B5). Pairs with the volatile load of the request in
    // VcpuState.acknowledge. If weaker (a load): nothing on x86 and ARMv8; but by the rules a vCPU
    // may acknowledge and still see the summary bit that the fetch took (B2).
    return (long) REQUESTED.getAndAdd(this, 0L);
  }

  /** The newest request that every vCPU has acknowledged. */
  public long completed() {
    return completed;
  }

  /** How often pages were armed; a vCPU whose number is older runs its arm callback. */
  long armEpoch() {
    return armEpoch;
  }

  /** Called under the collector lock after live bits were cleared, before the barrier. */
  @SuppressWarnings("NonAtomicVolatileUpdate") // one writer at a time: the collector lock
  public void pagesArmed() {
    // ORDER S3 volatile: the clears come before the new number. Pairs with the read in
    // VcpuState.acknowledge. If weaker: a vCPU drops its write TLB, refills it from a live bit that
    // is about to be cleared, and does not drop it again.
    armEpoch = armEpoch + 1;
  }

  /**
   * Waits until every store by a vCPU that was made before this call is visible here, and no vCPU
   * relies on live bits from before it. A vCPU that calls it is offline meanwhile.
   */
  public void barrier() {
    group.checkMayWait("a barrier");
    VcpuState self = group.self();
    if (self == null) {
      await(null);
      return;
    }
    self.waitAside("a barrier", () -> await(self));
  }

  private void await(@Nullable VcpuState self) {
    BarrierEvent event = new BarrierEvent();
    event.begin();
    VcpuRequest asked = request(self);
    Patience patience = null; // made by the first wait: to look at the clock takes time
    for (VcpuState vcpu : asked.vcpus) {
      if (vcpu != self && !isReached(vcpu, asked.number)) {
        if (patience == null) {
          patience = new Patience(group.timeoutNanos());
        }
        await(vcpu, asked.number, patience, "acknowledge a barrier");
      }
    }
    complete(asked.number);
    if (event.shouldCommit()) {
      event.vcpus = asked.vcpus.length;
      event.commit();
    }
  }

  /** Asks every vCPU but one for an acknowledgement; does not wait. */
  VcpuRequest request(@Nullable VcpuState except) {
    // ORDER S1 volatile: live bits are cleared before the request is visible. Pairs with the
    // volatile load of the request in VcpuState.acknowledge (S2). If weaker: a vCPU acknowledges,
    // and still sees 'set'. Being volatile, as the loads of the list and of the states after it
    // are, it also keeps those behind the clears (S4, S5, S7).
    long number = (long) REQUESTED.getAndAdd(this, 1L) + 1;
    VcpuState[] all = group.vcpus();
    for (VcpuState vcpu : all) {
      if (vcpu != except) {
        vcpu.request(VcpuState.BARRIER);
      }
    }
    return new VcpuRequest(number, all);
  }

  private void complete(long request) {
    long before = completed;
    while (before < request && !COMPLETED.compareAndSet(this, before, request)) {
      before = completed;
    }
  }

  private static boolean isReached(VcpuState vcpu, long request) {
    return vcpu.hasAcknowledged(request) || vcpu.isOffline();
  }

  /** Waits until the vCPU has acknowledged a request, is offline or dead. */
  void await(VcpuState vcpu, long request, Patience patience, String what) {
    for (int spin = 0; spin < SPINS; spin++) {
      if (isReached(vcpu, request)) {
        return;
      }
      Thread.onSpinWait();
    }
    Backoff backoff = new Backoff();
    while (!isReached(vcpu, request) && !vcpu.isDead()) {
      if (patience.isOver()) {
        String late = VcpuRequest.lateness(vcpu, what, group.timeoutNanos());
        throw new VcpuTimeoutException(late, vcpu.owner());
      }
      backoff.idle();
    }
  }
}
