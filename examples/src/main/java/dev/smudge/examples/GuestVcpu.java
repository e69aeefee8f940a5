package dev.smudge.examples;

import java.util.function.BooleanSupplier;

/** A vCPU of a {@link VcpuGuest}. One thread at a time. */
interface GuestVcpu {
  /**
   * Runs calls until the last, or until asked to stop. In the vCPU's thread.
   *
   * @param stop whether to stop, at the next call boundary or sooner
   */
  void run(BooleanSupplier stop);

  /** Has {@link #run} look at its stop flag soon. From any thread. */
  void kick();

  /** Limits how fast it makes pages dirty, where its writes are marked. From any thread. */
  default void limitDirtyRate(long bytesPerSecond) {}

  /** {@return whether the last call was made} */
  boolean ended();

  /** {@return all that is not in RAM} */
  byte[] state();

  /** Gives it back. It does not run any more. */
  void close();
}
