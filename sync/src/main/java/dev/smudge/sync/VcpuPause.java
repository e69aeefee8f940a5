package dev.smudge.sync;

import org.jspecify.annotations.Nullable;

/** All vCPUs are stopped, from {@link DirtyLog#pause} until {@code close}. */
public final class VcpuPause implements AutoCloseable {
  private final VcpuGroup group;
  final Thread holder = Thread.currentThread();
  final @Nullable LogVcpu exempt;

  VcpuPause(VcpuGroup group, @Nullable LogVcpu exempt) {
    this.group = group;
    this.exempt = exempt;
  }

  /** Lets the vCPUs run again. From any thread; a second call does nothing. */
  @Override
  public void close() {
    group.resume(this);
  }
}
