package dev.smudge.sync.internal.vcpu;

import org.jspecify.annotations.Nullable;

/** Makes the exceptions of the API, which this package does not know. */
public interface VcpuErrors {
  /** A vCPU was used in a way, or by a thread, that it does not allow. */
  RuntimeException misuse(String message);

  /** A thread did not do in time what the message says; its present stack becomes the cause. */
  RuntimeException timeout(String message, @Nullable Thread late);

  /** A write came after the log was sealed. */
  RuntimeException sealed(String message);
}
