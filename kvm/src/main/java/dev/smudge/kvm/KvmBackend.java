package dev.smudge.kvm;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.ring.RingPageConsumer;
import dev.smudge.sync.AccessInhibitor;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.DirtyLogBackend;
import dev.smudge.sync.LogSlot;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The backend that is the Linux kernel: a VM whose guest writes the kernel catches. The same
 * memory, clients and batches as over the software backend; vCPUs are the kernel's, and run by a
 * {@link KvmRunner}:
 *
 * <pre>{@code
 * KvmBackend backend = KvmBackend.over(vm);
 * GuestMemory memory = GuestMemory.over(backend.log());
 * KvmRunner runner = backend.addVcpu(vm.createVcpu(0));
 * }</pre>
 *
 * <p>A VM with dirty rings ({@link KvmVm#enableDirtyRing}) is collected from its rings, one without
 * from its bitmaps: fetched without a clear, and cleared range by range as clients take pages. What
 * a client is to be told of from the start is not armed before it is cleared, where the kernel has
 * that; with rings all pages are armed when logging begins, and again by each reset. That makes no
 * difference to clients: all pages are in every view then.
 *
 * <p>The kernel cannot change a slot in one step, and forgets the log of one that goes. So whatever
 * removes slots first stops all vCPUs, which wait before their next {@code KVM_RUN}, and fetches
 * their logs; writes of the host, which the kernel does not see, go on, and are marked in a bitmap
 * of the log's.
 *
 * <p>Threads: {@link #log}, {@link #addVcpu} and {@link #toString} from any thread. Everything else
 * is for {@link DirtyLog} alone. Source: design 3.6; QEMU accel/kvm/kvm-all.c.
 */
public final class KvmBackend implements DirtyLogBackend {
  private final KvmVm vm;
  private final boolean hasRings;
  private final boolean hasBitmaps;
  private final KernelRings rings;
  private final AccessInhibitor inhibitor = AccessInhibitor.create();
  private @Nullable DirtyLog log; // under this

  // Under the collector lock.
  private final Map<LogSlot, KernelSlot> slots = new HashMap<>();
  private final Map<Integer, KernelSlot> slotsById = new HashMap<>();
  private final Map<LogSlot, KernelSlot> removed = new HashMap<>(); // if something was kept
  private MemorySegment clearBuffer = newBuffer(64);

  private KvmBackend(KvmVm vm) {
    this.vm = vm;
    this.hasRings = vm.ringEntries() > 0;
    this.hasBitmaps = !hasRings || vm.hasRingBitmap();
    this.rings = new KernelRings(vm);
  }

  private static MemorySegment newBuffer(long words) {
    return Arena.ofAuto().allocate(words * Long.BYTES, Long.BYTES);
  }

  /**
   * Makes the backend of a VM, and switches manual protect on for it. Dirty rings are switched on
   * before.
   *
   * @param vm VM, none of whose slots has a log yet; not closed by the backend, and closed after
   *     the log
   * @return the backend
   * @throws UnsupportedOperationException if the kernel has no manual protect, and the VM no rings
   * @throws IllegalStateException if the VM has a backend already, or is closed
   */
  public static KvmBackend over(KvmVm vm) {
    return over(vm, vm.hasInitiallySet());
  }

  static KvmBackend over(KvmVm vm, boolean initiallySet) {
    KvmBackend backend = new KvmBackend(vm);
    vm.fd();
    if (backend.hasBitmaps) {
      vm.enableManualProtect(!backend.hasRings && initiallySet);
    }
    vm.collectBy(backend.rings);
    return backend;
  }

  /**
   * As {@link #log(DirtyLog.Builder)}, with defaults.
   *
   * @return the log
   */
  public DirtyLog log() {
    return log(DirtyLog.builder());
  }

  /**
   * Makes the dirty log over this backend. Its slots are those of a {@code GuestMemory}, in pages
   * of the kernel's size, over RAM outside the Java heap; their numbers are the kernel's. It has to
   * be closed before the RAM is unmapped, as {@code GuestMemory.close} does.
   *
   * @param options of the log: its backend and rings are set here
   * @return the log
   * @throws IllegalStateException if it was made already
   */
  public synchronized DirtyLog log(DirtyLog.Builder options) {
    if (log != null) {
      throw new IllegalStateException(this + " has a log already");
    }
    options.backend(this);
    if (hasRings) {
      options.ring(vm.ringEntries());
    }
    DirtyLog made = options.build();
    log = made;
    return made;
  }

  synchronized DirtyLog madeLog() {
    DirtyLog made = log;
    if (made == null) {
      throw new IllegalStateException(this + " has no log yet: KvmBackend.log() comes first");
    }
    return made;
  }

  /**
   * Adds a vCPU, to be run by its runner alone from now on.
   *
   * @param vcpu vCPU of the VM
   * @return its runner
   * @throws IllegalArgumentException if it is another VM's
   * @throws IllegalStateException if {@link #log} was not called yet
   */
  @SuppressWarnings("ReferenceEquality")
  public KvmRunner addVcpu(KvmVcpu vcpu) {
    if (vcpu.vm() != vm) {
      throw new IllegalArgumentException(vcpu + " is not of " + vm);
    }
    return new KvmRunner(vcpu, madeLog(), inhibitor);
  }

  // For the log.

  @Override
  @SuppressWarnings("try") // held, not used
  public void changeSlots(List<LogSlot> removed, List<LogSlot> added, Runnable change) {
    for (LogSlot slot : added) {
      KernelSlot.check(vm, slot);
    }
    if (removed.isEmpty()) {
      change.run(); // the guest finds more than before
      return;
    }
    try (AccessInhibitor.Hold hold = inhibitor.inhibit()) {
      change.run();
    }
  }

  @Override
  public void addSlot(LogSlot slot) {
    KernelSlot kernel = new KernelSlot(vm, slot);
    slots.put(slot, kernel);
    slotsById.put(slot.id(), kernel);
  }

  /** Between this and the next use of the number all rings are emptied: docs/kvm.md has why. */
  @Override
  public void removeSlot(LogSlot slot) {
    KernelSlot kernel = slots.get(slot);
    if (kernel == null) {
      return;
    }
    if (!vm.isGone()) {
      kernel.delete();
      emptyRings();
    }
    slots.remove(slot);
    slotsById.remove(slot.id());
    if (kernel.hasKept()) {
      removed.put(slot, kernel);
    }
  }

  private void emptyRings() {
    if (hasRings) {
      rings.reap(this::keep);
    }
  }

  private void keep(int slotId, long page) {
    KernelSlot kernel = slotsById.get(slotId);
    if (kernel != null) {
      kernel.keep(page);
    }
  }

  @Override
  public void startLog(LogSlot slot) {
    slot(slot).startLog();
  }

  /** What is in the rings is nobody's; left there, a vCPU whose ring is full would never go on. */
  @Override
  public void stopLog(LogSlot slot) {
    if (vm.isGone()) {
      return;
    }
    KernelSlot kernel = slot(slot);
    kernel.stopLog();
    if (hasRings) {
      rings.reap((slotId, page) -> {
        KernelSlot other = slotsById.get(slotId);
        if (other != null && other.logs()) {
          other.keep(page);
        }
      });
    }
  }

  private KernelSlot slot(LogSlot slot) {
    KernelSlot kernel = slots.get(slot);
    if (kernel == null) {
      throw new IllegalArgumentException(slot + " is not one of the kernel's");
    }
    return kernel;
  }

  @Override
  public int reapRings(RingPageConsumer sink) {
    return rings.reap(sink); // of a VM that is closed, what its vCPUs have left
  }

  @Override
  public void getDirtyLog(LogSlot slot, PageWordConsumer sink) {
    KernelSlot kernel = slots.get(slot);
    if (kernel == null) {
      KernelSlot last = removed.remove(slot);
      if (last != null) {
        last.handOutKept(sink);
      }
    } else if (kernel.logs() && hasBitmaps) {
      kernel.handOutBitmap(sink);
    } else {
      kernel.handOutKept(sink);
    }
  }

  @Override
  public void clearDirtyLog(LogSlot slot, long firstPage, long pageCount, long[] bitmap) {
    slot.checkClearRange(firstPage, pageCount, bitmap);
    KernelSlot kernel = slot(slot);
    int words = (int) ((pageCount + 63) >>> 6);
    if (kernel.logs() && hasBitmaps) {
      if (clearBuffer.byteSize() < (long) words * Long.BYTES) {
        clearBuffer = newBuffer(words);
      }
      MemorySegment.copy(bitmap, 0, clearBuffer, JAVA_LONG, 0, words);
      vm.clearDirtyLog(slot.id(), firstPage, pageCount, clearBuffer);
    }
    kernel.forgetKept(firstPage, bitmap, words); // armed already, by the reset
  }

  @Override
  public boolean isAnyRingHalfFull() {
    return rings.isAnyHalfFull();
  }

  @Override
  public Runnable pauseVcpus() {
    AccessInhibitor.Hold hold = inhibitor.inhibit();
    return hold::close;
  }

  /**
   * Does nothing. The kernel flushes the TLBs of all vCPUs before KVM_CLEAR_DIRTY_LOG,
   * KVM_RESET_DIRTY_RINGS and the begin of a log return: a write that was not reported came before
   * that, and is in memory. That holds for whoever finds the bits cleared by another, too: both
   * clear under the collector lock, and read after it.
   */
  @Override
  public void afterSync() {}

  @Override
  public String toString() {
    return "KvmBackend[" + vm + (hasRings ? ", rings]" : ", bitmaps]");
  }
}
