package dev.smudge.kvm;

import dev.smudge.ring.DirtyRing;
import dev.smudge.ring.HarvestedPages;
import dev.smudge.ring.RingPageConsumer;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;

/**
 * The dirty rings of a VM's vCPUs, as the collector has them: harvest, reset, hand out, in this
 * order. Whoever closes a vCPU waits for that, and leaves what its ring held here.
 */
final class KernelRings {
  private static final int MOST_IDLE_RESETS = 1000;

  private final KvmVm vm;
  private final Map<KvmVcpu, HarvestedPages> harvests = new HashMap<>(); // under this

  KernelRings(KvmVm vm) {
    this.vm = vm;
  }

  /**
   * Empties all rings, one round of each at most.
   *
   * @return how many entries were harvested, now or before
   */
  synchronized int reap(RingPageConsumer sink) {
    List<KvmVcpu> open = vm.vcpus();
    int entries = 0;
    for (KvmVcpu vcpu : open) {
      entries += harvest(vcpu);
    }
    if (entries > 0) {
      reset();
    }
    Iterator<Map.Entry<KvmVcpu, HarvestedPages>> each = harvests.entrySet().iterator();
    while (each.hasNext()) {
      Map.Entry<KvmVcpu, HarvestedPages> next = each.next();
      boolean closed = !open.contains(next.getKey());
      if (closed) {
        entries += next.getValue().size();
      }
      next.getValue().forEachPage(KernelRings::barrierOfTheReset, sink);
      if (closed) {
        each.remove();
      }
    }
    return entries;
  }

  private int harvest(KvmVcpu vcpu) {
    DirtyRing ring = vcpu.ring();
    HarvestedPages pages =
        harvests.computeIfAbsent(vcpu, key -> new HarvestedPages(ring.entries()));
    ring.harvester().harvest(pages);
    return pages.size();
  }

  /** The kernel ends a reset early if a signal for this thread is waiting. */
  private void reset() {
    int idle = 0;
    while (!noteResets()) {
      idle = vm.resetDirtyRings() > 0 ? 0 : idle + 1;
      if (idle > MOST_IDLE_RESETS) {
        throw new IllegalStateException(
            "the kernel does not give harvested entries back: somebody else has changed the rings");
      }
    }
  }

  /** Whether all that was harvested is reset. */
  private boolean noteResets() {
    boolean all = true;
    for (KvmVcpu vcpu : vm.vcpus()) {
      vcpu.ring().resetter().noteResets();
      HarvestedPages pages = harvests.get(vcpu);
      all &= pages == null || pages.isReset();
    }
    return all;
  }

  /** KVM_RESET_DIRTY_RINGS flushes the TLBs of all vCPUs before it returns. */
  private static void barrierOfTheReset() {}

  /** Its ring is about to be unmapped; what it held is handed out by the next {@link #reap}. */
  synchronized void forget(KvmVcpu vcpu) {
    try {
      if (harvest(vcpu) > 0) {
        reset();
      }
    } catch (RuntimeException e) { // the kernel's refusal; after an Error the next close goes on
      vm.remove(vcpu);
      throw e;
    }
    vm.remove(vcpu);
  }

  /** Whether a ring is a quarter full: with the kernel's reserve, that may be half of its room. */
  synchronized boolean isAnyHalfFull() {
    for (KvmVcpu vcpu : vm.vcpus()) {
      if (vcpu.ring().harvester().hasAtLeast(vcpu.ring().entries() / 4)) {
        return true;
      }
    }
    return false;
  }
}
