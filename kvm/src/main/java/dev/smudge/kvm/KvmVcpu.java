package dev.smudge.kvm;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import dev.smudge.linux.Errno;
import dev.smudge.linux.ErrnoException;
import dev.smudge.linux.KickSignal;
import dev.smudge.linux.Libc;
import dev.smudge.ring.DirtyRing;
import dev.smudge.ring.RingLayout;
import dev.smudge.sync.internal.stack.StackRoom;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * A KVM vCPU. It runs guest code, and reports dirty pages in its own ring if the VM has dirty
 * rings.
 *
 * <p>One thread at a time runs it and reads the details of an exit. Any thread may call {@link
 * #kick} and {@link #close}. Once a {@link KvmTracker} has the vCPU, only its {@link KvmRunner}
 * runs it.
 *
 * <p>How a kick reaches a thread that is about to enter the guest: the kernel looks at
 * immediate_exit when KVM_RUN begins, and the signal ends a KVM_RUN that has begun. A kick does
 * both, in this order, so it works on either side of that moment.
 *
 * <p>Source: Linux Documentation/virt/kvm/api.rst 4.10, 5, 8.29.
 */
public final class KvmVcpu implements AutoCloseable {
  private final KvmVm vm;
  private final KvmFile file; // Its lock is held for the whole of a run.
  private final Arena arena = Arena.ofShared();
  private final MemorySegment run;
  private final @Nullable DirtyRing ring;

  private final Object runnerLock = new Object();
  private long thread; // That in KVM_RUN, 0 if none; guarded by runnerLock, as closed is.
  private boolean closed;
  private @Nullable KvmRunner runner; // The last one, closed perhaps; guarded by runnerLock.
  private boolean unmapped; // Guarded by file.

  KvmVcpu(KvmVm vm, KvmFile file, int runSize, int ringEntries) {
    this.vm = vm;
    this.file = file;
    if (runSize < RunLayout.MIN_SIZE) {
      throw new IllegalStateException("kvm_run has only " + runSize + " bytes");
    }
    try {
      run = file.map("kvm_run", 0, runSize, arena);
      ring = ringEntries == 0 ? null : mapRing(ringEntries);
    } catch (Throwable e) {
      arena.close();
      throw e;
    }
  }

  private DirtyRing mapRing(int entries) {
    long offset = RunLayout.DIRTY_RING_PAGE * vm.pageSize();
    long bytes = (long) entries * RingLayout.ENTRY_SIZE;
    MemorySegment mapping = file.map("dirty ring", offset, bytes, arena);
    if (file.canMap(offset + bytes, vm.pageSize())) {
      throw new IllegalArgumentException(
          "the vCPU's dirty ring has more than the "
              + entries
              + " entries that Kvm.adoptVm was told");
    }
    return DirtyRing.over(mapping.asByteBuffer(), 0);
  }

  /**
   * Returns the file descriptor, for calls that this class does not have. It must not be closed,
   * and must not be used after {@link #close}. Waits for a run that is under way.
   *
   * @return the number of the file descriptor
   * @throws IllegalStateException if the vCPU is closed
   */
  public int fd() {
    return file.fd();
  }

  /**
   * Returns the dirty ring, which the kernel fills. After a harvest, call {@link
   * KvmVm#resetDirtyRings}, and {@code noteResets} of the ring's resetter.
   *
   * @return the same object each time; using it after {@link #close} throws an {@code
   *     IllegalStateException}
   * @throws IllegalStateException if the VM has no rings
   */
  DirtyRing ring() {
    DirtyRing result = ring;
    if (result == null) {
      throw new IllegalStateException("the VM has no dirty rings");
    }
    return result;
  }

  /**
   * Returns kvm_run, the record that the vCPU shares with the kernel ({@link RunLayout}). The
   * embedder reads there what an exit asks for, and writes the answer, between two runs.
   *
   * @return the mapping; using it after {@link #close} throws an {@code IllegalStateException}
   */
  public MemorySegment runPage() {
    return run;
  }

  /**
   * Runs the guest until an exit (KVM_RUN).
   *
   * @return the reason of the exit, one of {@link RunLayout} or another of the kernel's. {@link
   *     RunLayout#EXIT_INTR} comes after a kick, and after any other signal for this thread. After
   *     {@link RunLayout#EXIT_DIRTY_RING_FULL} the guest does not run again until entries of its
   *     ring are reset
   * @throws KvmException if the kernel refuses
   * @throws IllegalStateException if the vCPU is closed; or if it has a {@link KvmRunner}, whose
   *     {@code run} is to be called. The guest has not run then
   */
  public int run() {
    return run(null);
  }

  /** As {@link #run()}, for the runner that the vCPU has. */
  int run(@Nullable KvmRunner by) {
    // The lock of the file comes first. So no call waits for it once enter has noted the platform
    // thread, and a virtual thread stays on that one until KVM_RUN is over.
    synchronized (file) {
      enter(by);
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
      // Older kernels, and some paths of newer ones, return an error together with this reason.
      if (result < 0 && reason != RunLayout.EXIT_DIRTY_RING_FULL) {
        throw new KvmException("KVM_RUN", -result);
      }
      return reason;
    }
  }

  @SuppressWarnings("ReferenceEquality")
  private void enter(@Nullable KvmRunner by) {
    synchronized (runnerLock) {
      if (closed) {
        throw new IllegalStateException("the vCPU is closed");
      }
      KvmRunner its = runner;
      if (its != by && its != null && !its.isClosed()) {
        throw new IllegalStateException(
            this
                + " has a runner, and would not stop for pauses and changes of slots without it:"
                + " call run of "
                + its);
      }
      thread = Libc.currentThread();
    }
  }

  /**
   * Is run by a runner alone from here on, until that is closed.
   *
   * @throws IllegalStateException if it has another, or runs without one
   */
  void runBy(KvmRunner next) {
    synchronized (runnerLock) {
      KvmRunner before = runner;
      if (before != null && !before.isClosed()) {
        throw new IllegalStateException(
            this + " has a runner already, and can be run by one at a time: close " + before);
      }
      if (thread != 0) {
        throw new IllegalStateException(
            this + " runs without a runner, and would not stop: kick it, and add it after that");
      }
      runner = next;
    }
  }

  private void leave(boolean interrupted) {
    synchronized (runnerLock) {
      thread = 0;
      if (interrupted) {
        run.set(JAVA_BYTE, RunLayout.IMMEDIATE_EXIT_OFFSET, (byte) 0);
      }
    }
  }

  /**
   * Ends the run that is under way, or else the next one, which then returns {@link
   * RunLayout#EXIT_INTR}. Any thread may call it. It does not wait for the guest to stop.
   *
   * @throws IllegalStateException if the vCPU is closed, or if no signal is free in this process;
   *     in the second case only a run that has not begun yet is ended
   * @throws KvmException if the kernel refuses the signal or its handler, likewise
   */
  public void kick() {
    synchronized (runnerLock) {
      if (closed) {
        throw new IllegalStateException("the vCPU is closed");
      }
      kickNow();
    }
  }

  /** Kicks, unless the vCPU is closed. */
  void kickIfOpen() {
    synchronized (runnerLock) {
      if (!closed) {
        kickNow();
      }
    }
  }

  private void kickNow() {
    synchronized (runnerLock) {
      run.set(JAVA_BYTE, RunLayout.IMMEDIATE_EXIT_OFFSET, (byte) 1);
      if (thread != 0) {
        try {
          // The thread is alive: leave() takes this lock before the thread goes on.
          KickSignal.send(thread);
        } catch (ErrnoException e) {
          throw KvmException.of(e);
        }
      }
    }
  }

  /** {@return the port of the access, after {@link RunLayout#EXIT_IO}} */
  public int ioPort() {
    return Short.toUnsignedInt(run.get(JAVA_SHORT, RunLayout.IO_PORT_OFFSET));
  }

  /** {@return the guest address of the access, after {@link RunLayout#EXIT_MMIO}} */
  public long mmioAddress() {
    return run.get(JAVA_LONG, RunLayout.MMIO_ADDRESS_OFFSET);
  }

  KvmVm vm() {
    return vm;
  }

  /** Makes a call with a record. */
  void ioctl(String call, long request, MemorySegment argument) {
    file.ioctl(call, request, argument, MemorySegment.NULL);
  }

  /**
   * Closes the vCPU: unmaps kvm_run and the dirty ring, and closes the file descriptor unless the
   * embedder owns it. A run that is under way is kicked, and this waits until it has returned. The
   * next take still finds the pages of the dirty ring. A second call only waits for the first. If
   * it throws an {@link Error}, call it again: the ring may hold pages that no take has found.
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
      StackRoom.check(StackRoom.RELEASE);
      try {
        vm.forget(this); // From here on nobody reads its ring.
      } catch (RuntimeException e) {
        unmap();
        throw e;
      }
      unmap(); // not after an Error: there are pages in the ring, and the next call gets them
    }
  }

  private void unmap() {
    unmapped = true;
    run.set(JAVA_BYTE, RunLayout.IMMEDIATE_EXIT_OFFSET, (byte) 0); // An adopted vCPU runs on.
    file.close();
    arena.close();
  }

  @Override
  public String toString() {
    return "KvmVcpu[" + file + "]";
  }
}
