package dev.smudge.sync.rcu;

import dev.smudge.sync.internal.time.Patience;
import java.lang.invoke.VarHandle;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A grace period: over when every read-side section that was there when it began has ended. Polled
 * by one thread at a time; never blocks.
 *
 * <p>It first waits until every vCPU has passed a safepoint, or is offline: a section of its thread
 * that goes on was published before that. Then it waits for the published words of all threads.
 */
final class GracePeriod {
  private final RcuReaders readers;
  private final Patience patience;
  private final long epoch;
  private final RcuVcpus.Quiescence vcpus;
  private boolean vcpusPassed;
  private @Nullable RcuReader reader; // the next to look at

  GracePeriod(RcuReaders readers, RcuVcpus vcpus, long timeoutNanos) {
    this.readers = readers;
    this.patience = new Patience(timeoutNanos);
    this.epoch = readers.nextEpoch();
    // U1 full fence: what was unlinked is so before the words and the list of readers are read.
    VarHandle.fullFence();
    this.vcpus = vcpus.request();
  }

  boolean isOver() {
    if (!vcpusPassed) {
      if (!vcpus.isReached()) {
        return false;
      }
      vcpusPassed = true;
      reader = readers.first();
    }
    for (RcuReader next = reader; next != null; next = next.next()) {
      if (!next.isPast(epoch)) {
        if (next.isAlive()) {
          reader = next;
          return false;
        }
        readers.leaveDead(next);
      }
    }
    if (reader != null) {
      reader = null;
      readers.pruneIfMany();
    }
    return true;
  }

  /** A look at the clock; often, since each counts a little only. */
  boolean isLate() {
    return patience.isOver();
  }

  /** What it waits for. */
  RcuTimeoutException timeout() {
    RcuReader late = reader;
    long waited = patience.counted();
    if (late != null) {
      return late.timeout(waited);
    }
    Throwable vcpu = vcpus.late(waited);
    return new RcuTimeoutException(Objects.requireNonNull(vcpu.getMessage()), vcpu);
  }
}
