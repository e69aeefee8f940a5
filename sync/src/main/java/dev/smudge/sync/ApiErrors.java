package dev.smudge.sync;

import dev.smudge.sync.internal.vcpu.VcpuErrors;
import org.jspecify.annotations.Nullable;

/** The exceptions of the API, for packages below it. */
final class ApiErrors implements VcpuErrors {
  @Override
  public RuntimeException misuse(String message) {
    return new VcpuException(message);
  }

  @Override
  public RuntimeException timeout(String message, @Nullable Thread late) {
    return new VcpuTimeoutException(message, late);
  }

  @Override
  public RuntimeException sealed(String message) {
    return new SealedException(message);
  }
}
