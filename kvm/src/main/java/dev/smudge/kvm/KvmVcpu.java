package dev.smudge.kvm;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import dev.smudge.ring.DirtyRing;
import dev.smudge.ring.RingLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * A vCPU of the kernel's: runs guest code, and reports pages in a dirty ring if the VM has them.
 *
 * <p>For one thread at a time, but for {@link #kick}, {@link #ring} and {@link #close}.
 *
 * <p>Source: Documentation/virt/kvm/api.rst 4.10, 5, 8.29.
 */
public final class KvmVcpu implements AutoCloseable {
  private final KvmVm vm;
  private final Descriptor file;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment run;
  private final @Nullable DirtyRing ring;

  private final Object runnerLock = new Object();
  private long runner; // the thread in KVM_RUN, 0 if none
  private boolean closed;
  private boolean unmapped; // under file

  KvmVcpu(KvmVm vm, Descriptor file, int runSize, int ringEntries) {
    this.vm = vm;
    this.file = file;
    if (runSize < RunLayout.MIN_SIZE) {
      throw new IllegalStateException("kvm_run has only " + runSize + " bytes");
    }
    try {
      run = Libc.map("kvm_run", file.fd(), 0, runSize, arena);
      ring = ringEntries == 0 ? null : mapRing(ringEntries);
    } catch (Throwable e) {
      arena.close();
      throw e;
    }
  }

  private DirtyRing mapRing(int entries) {
    long offset = RunLayout.DIRTY_RING_PAGE * vm.pageSize();
    long bytes = (long) entries * RingLayout.ENTRY_SIZE;
    MemorySegment mapping = Libc.map("dirty ring", file.fd(), offset, bytes, arena);
    if (Libc.has(file.fd(), offset + bytes, vm.pageSize())) {
      throw new IllegalArgumentException(
          "the vCPU's dirty ring has more than the " + entries + " entries that were said");
    }
    return DirtyRing.over(mapping.asByteBuffer(), 0);
  }

  /** {@return the file descriptor, for calls that are not here; not to be closed} */
  public int fd() {
    return file.fd();
  }

  /**
   * Returns the dirty ring, which the kernel fills. Harvest it, call {@link KvmVm#resetDirtyRings},
   * then {@code noteResets} of its resetter; its producer is not used.
   *
   * @return the same object each time; its use after {@link #close} is an {@code
   *     IllegalStateException}
   * @throws IllegalStateException if the VM has no rings
   */
  public DirtyRing ring() {
    DirtyRing result = ring;
    if (result == null) {
      throw new IllegalStateException("the VM has no dirty rings");
    }
    return result;
  }

  /**
   * {@return kvm_run, which is shared with the kernel ({@link RunLayout}); closed with this vCPU}
   */
  public MemorySegment runPage() {
    return run;
  }

  /**
   * Runs the guest until an exit (KVM_RUN).
   *
   * @return why it came back, one of {@link RunLayout}'s, or another of the kernel's; {@link
   *     RunLayout#EXIT_INTR} after a kick, or a signal that is not ours. {@link
   *     RunLayout#EXIT_DIRTY_RING_FULL}: until a reset, the guest does not run
   * @throws KvmException if the kernel refuses
   * @throws IllegalStateException if the vCPU is closed
   */
  public int run() {
    synchronized (file) {
      enter();
      int result = -Errno.EINTR;
      try {
        result = file.tryIoctl(Ioctls.RUN, 0);
      } finally {
        leave(result == -Errno.EINTR);
      }
      if (result == -Errno.EINTR) {
        return RunLayout.EXIT_INTR;
      }
      int reason = run.get(JAVA_INT, RunLayout.EXIT_REASON_OFFSET);
      // Older kernels, and some paths of newer ones, return an error beside this reason.
      if (result < 0 && reason != RunLayout.EXIT_DIRTY_RING_FULL) {
        throw new KvmException("KVM_RUN", -result);
      }
      return reason;
    }
  }

  private void enter() {
    synchronized (runnerLock) {
      if (closed) {
        throw new IllegalStateException("the vCPU is closed");
      }
      runner = Libc.currentThread();
    }
  }

  private void leave(boolean interrupted) {
    synchronized (runnerLock) {
      runner = 0;
      if (interrupted) {
        run.set(JAVA_BYTE, RunLayout.IMMEDIATE_EXIT_OFFSET, (byte) 0);
      }
    }
  }

  /**
   * Ends the run that is under way, or the next one: it returns {@link RunLayout#EXIT_INTR}. Does
   * not wait. From any thread.
   *
   * @throws IllegalStateException if the vCPU is closed
   */
  public void kick() {
    synchronized (runnerLock) {
      if (closed) {
        throw new IllegalStateException("the vCPU is closed");
      }
      kickNow();
    }
  }

  void kickIfOpen() {
    synchronized (runnerLock) {
      if (!closed) {
        kickNow();
      }
    }
  }

  private void kickNow() {
    synchronized (runnerLock) {
      // The flag, then the signal: one ends a KVM_RUN that begins, the other one that has begun.
      run.set(JAVA_BYTE, RunLayout.IMMEDIATE_EXIT_OFFSET, (byte) 1);
      if (runner != 0) {
        Libc.signal(runner, KickSignal.NUMBER);
      }
    }
  }

  /** {@return after {@link RunLayout#EXIT_IO}, the port} */
  public int ioPort() {
    return Short.toUnsignedInt(run.get(JAVA_SHORT, RunLayout.IO_PORT_OFFSET));
  }

  /** {@return after {@link RunLayout#EXIT_MMIO}, the guest address} */
  public long mmioAddress() {
    return run.get(JAVA_LONG, RunLayout.MMIO_ADDRESS_OFFSET);
  }

  KvmVm vm() {
    return vm;
  }

  /** A call with a record. */
  void ioctl(String call, long request, MemorySegment argument) {
    file.ioctl(call, request, argument, MemorySegment.NULL);
  }

  /**
   * Unmaps what was mapped, and closes the file descriptor if this made it. A run that is under way
   * is kicked, and waited for. What its dirty ring has is collected by the next take. A second call
   * only waits until it is closed.
   */
  @Override
  public void close() {
    synchronized (runnerLock) {
      if (!closed) {
        kickNow();
        closed = true;
      }
    }
    synchronized (file) {
      if (unmapped) {
        return;
      }
      unmapped = true;
      try {
        vm.forget(this); // nobody reads its ring any more
      } finally {
        run.set(JAVA_BYTE, RunLayout.IMMEDIATE_EXIT_OFFSET, (byte) 0); // it may be another's too
        file.close();
        arena.close();
      }
    }
  }

  @Override
  public String toString() {
    return "KvmVcpu[" + file + "]";
  }
}
