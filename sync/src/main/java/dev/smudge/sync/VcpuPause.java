package dev.smudge.sync;

import org.jspecify.annotations.Nullable;

/** All vCPUs are stopped, from {@link DirtyLog#pause} until {@code close}. */
public final class VcpuPause implements AutoCloseable {
  private final VcpuGroup group;
  private Runnable others = () -> {}; // under this
  final Thread holder = Thread.currentThread();
  final @Nullable LogVcpu exempt;

  VcpuPause(VcpuGroup group, @Nullable LogVcpu exempt) {
    this.group = group;
    this.exempt = exempt;
  }

  /** Has the close let others go on too. Before this is handed out. */
  synchronized void onClose(Runnable letGo) {
    others = letGo;
  }

  private synchronized Runnable takeOthers() {
    Runnable taken = others;
    others = () -> {};
    return taken;
  }

  /** Lets the vCPUs run again. From any thread; a second call does nothing. */
  @Override
  public void close() {
    try {
      takeOthers().run();
    } finally {
      group.resume(this);
    }
  }
}
