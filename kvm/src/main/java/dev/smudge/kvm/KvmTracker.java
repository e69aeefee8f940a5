package dev.smudge.kvm;

import dev.smudge.ring.RingPageConsumer;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.DirtyLogBuilder;
import dev.smudge.sync.embed.EmbeddedLog;
import dev.smudge.sync.inhibitor.AccessInhibitor;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import dev.smudge.sync.tracker.TrackerVcpus;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A tracker that uses KVM: the kernel finds the writes of a VM's guest. Memory, clients and batches
 * are the same as with marks. The vCPUs are KVM's, and a {@link KvmRunner} runs each of them:
 *
 * <pre>{@code
 * KvmTracker kvm = KvmTracker.over(vm);
 * GuestMemory memory = GuestMemory.over(kvm.log());
 * KvmRunner runner = kvm.addVcpu(vm.createVcpu(0));
 * }</pre>
 *
 * <p>A VM with dirty rings ({@link KvmVm#enableDirtyRing}) is collected from its rings. A VM
 * without is collected from its bitmaps, which are fetched without a clear, and cleared range by
 * range as clients take pages. If the kernel has INITIALLY_SET, no page is armed before its first
 * clear. With rings all pages are armed when logging begins, and again by each reset; clients see
 * no difference, because all pages are in their views then.
 *
 * <p>The kernel cannot change a slot in one step, and forgets the log of a deleted slot. So a
 * change that removes slots first stops all vCPUs, which wait before their next {@code KVM_RUN},
 * and fetches their logs. The kernel does not see writes of the host; they go on, and are marked in
 * a bitmap of the log.
 *
 * <p>Threads: {@link #log}, {@link #addVcpu} and {@link #toString} from any thread. Source:
 * docs/design.md 3.6; QEMU accel/kvm/kvm-all.c.
 */
public final class KvmTracker {
  private final KvmVm vm;
  private final boolean hasRings;
  private final boolean hasBitmaps;
  private final KernelRings rings;
  private @Nullable DirtyLog log; // under this, as the next
  private @Nullable AccessInhibitor inhibitor;

  // Under the collector lock.
  private final Map<Integer, KernelSlot> slots = new HashMap<>(); // those the kernel has, by number

  private KvmTracker(KvmVm vm) {
    this.vm = vm;
    this.hasRings = vm.ringEntries() > 0;
    this.hasBitmaps = !hasRings || vm.hasRingBitmap();
    this.rings = new KernelRings(vm);
  }

  /**
   * Makes the tracker of a VM, and switches manual protect on for it. To use dirty rings, switch
   * them on first.
   *
   * @param vm a VM, none of whose slots has a log yet. The tracker does not close it; close it
   *     after the log
   * @return the tracker
   * @throws UnsupportedOperationException if the kernel has no manual protect, and the VM no rings
   * @throws IllegalStateException if the VM has a tracker already, by this {@code KvmVm} or by
   *     another open one of the same file descriptor; or if it is closed
   */
  public static KvmTracker over(KvmVm vm) {
    return over(vm, vm.hasInitiallySet());
  }

  static KvmTracker over(KvmVm vm, boolean initiallySet) {
    KvmTracker tracker = new KvmTracker(vm);
    vm.fd();
    if (tracker.hasBitmaps) {
      vm.enableManualProtect(!tracker.hasRings && initiallySet);
    }
    vm.collectBy(tracker.rings);
    return tracker;
  }

  /**
   * As {@link #log(DirtyLogBuilder)}, with defaults.
   *
   * @return the log
   */
  public DirtyLog log() {
    return log(DirtyLog.builder());
  }

  /**
   * Makes the dirty log over this tracker. Its slots are those of a {@code GuestMemory}, in pages
   * of the kernel's size, over RAM outside the Java heap; their numbers are the kernel's. It has to
   * be closed before the RAM is unmapped, as {@code GuestMemory.close} does. Its timeout and its
   * error handler apply to the KVM vCPUs too.
   *
   * @param options of the log: its tracker is set here, and makes no other log by {@code build}
   * @return the log
   * @throws IllegalStateException if it was made already
   */
  public synchronized DirtyLog log(DirtyLogBuilder options) {
    if (log != null) {
      throw new IllegalStateException(this + " has a log already");
    }
    DirtyLog made = options.tracker(new Spi()).build();
    EmbeddedLog embedded = EmbeddedLog.of(made);
    inhibitor = AccessInhibitor.create(embedded.timeout(), embedded::report);
    log = made;
    return made;
  }

  /**
   * Adds a vCPU, to be run by its runner alone from now on.
   *
   * @param vcpu vCPU of the VM
   * @return its runner
   * @throws IllegalArgumentException if it is another VM's
   * @throws IllegalStateException if {@link #log} was not called yet; or if the vCPU has a runner
   *     already: close that one first; or if it runs
   */
  @SuppressWarnings("ReferenceEquality")
  public synchronized KvmRunner addVcpu(KvmVcpu vcpu) {
    if (vcpu.vm() != vm) {
      throw new IllegalArgumentException(vcpu + " is not of " + vm);
    }
    DirtyLog made = log;
    if (made == null) {
      throw noLog();
    }
    KvmRunner next = new KvmRunner(vcpu, made, inhibitor());
    boolean added = false;
    try {
      vcpu.runBy(next);
      added = true;
    } finally {
      if (!added) {
        next.close();
      }
    }
    return next;
  }

  /** What keeps the kernel's vCPUs out of the guest; once there is a log. */
  synchronized AccessInhibitor inhibitor() {
    AccessInhibitor made = inhibitor;
    if (made == null) {
      throw noLog();
    }
    return made;
  }

  private IllegalStateException noLog() {
    return new IllegalStateException(this + " has no log yet: KvmTracker.log() comes first");
  }

  @Override
  public String toString() {
    return "KvmTracker[" + vm + (hasRings ? ", rings]" : ", bitmaps]");
  }

  /** What the log sees. */
  private final class Spi implements Tracker {
    @Override
    public SlotTracker newSlot(TrackedSlot slot) {
      return new KernelSlot(vm, slot, hasBitmaps, KvmTracker.this::changed);
    }

    @Override
    public boolean hasRings() {
      return hasRings;
    }

    @Override
    public boolean isAnyRingHalfFull() {
      return rings.isAnyHalfFull();
    }

    @Override
    public int reapRings(RingPageConsumer sink) {
      return rings.reap(sink); // of a VM that is closed, what its vCPUs have left
    }

    @Override
    public TrackerVcpus vcpus() {
      return new TrackerVcpus() {
        @Override
        public Runnable pause() {
          // A change that was cut short is settled by the log, which knows what was half done.
          return inhibitor().pause()::close;
        }

        @Override
        public void close() {
          inhibitor().close();
        }
      };
    }

    /**
     * Does nothing. The kernel flushes the TLBs of all vCPUs before KVM_CLEAR_DIRTY_LOG,
     * KVM_RESET_DIRTY_RINGS and the begin of a log return: a write that was not reported came
     * before that, and is in memory. That holds for whoever finds the bits cleared by another, too:
     * both clear under the collector lock, and read after it.
     */
    @Override
    public void afterSync() {}

    @Override
    public String toString() {
      return KvmTracker.this.toString();
    }
  }

  /** The kernel has, or has no longer, a slot, or its log. Under the collector lock. */
  private void changed(KernelSlot slot, KernelSlot.Change change) {
    switch (change) {
      case ADDED -> slots.put(slot.id(), slot);
      // Between a removal and the next use of the number all rings are emptied: docs/kvm.md has
      // why.
      case DELETED -> emptyRings(true);
      case REMOVED -> slots.remove(slot.id(), slot);
      // What is in the rings is nobody's; left there, a vCPU whose ring is full would never go on.
      case STOPPED -> emptyRings(false);
    }
  }

  private void emptyRings(boolean ofAll) {
    if (hasRings) {
      rings.reap(
          new RingPageConsumer() { // no lambda over a boolean: it may stay unlinked (design.md 3.8)
            @Override
            public void accept(int slotId, long page) {
              KernelSlot slot = slots.get(slotId);
              if (slot != null && (ofAll || slot.logs())) {
                slot.keep(page);
              }
            }
          });
    }
  }
}
