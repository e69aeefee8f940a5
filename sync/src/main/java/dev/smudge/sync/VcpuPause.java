package dev.smudge.sync;

import dev.smudge.sync.internal.stack.StackRoom;
import dev.smudge.sync.internal.vcpu.Pauses;
import org.jspecify.annotations.Nullable;

/**
 * All vCPUs are stopped, from {@link DirtyLog#pause} until {@code close}, or until the thread that
 * called {@code pause} ends.
 */
public final class VcpuPause implements AutoCloseable {
  private final Pauses pauses;
  private final Pauses.Pause pause;
  private volatile @Nullable Others others; // the last first

  /** Others than the log's vCPUs that are stopped. */
  private static final class Others {
    final Runnable letGo;
    final @Nullable Others before;
    volatile boolean taken; // by a close

    Others(Runnable letGo, @Nullable Others before) {
      this.letGo = letGo;
      this.before = before;
    }
  }

  VcpuPause(Pauses pauses) {
    StackRoom.check(StackRoom.RELEASE); // so that there is enough of it to end the pause
    this.pauses = pauses;
    this.pause = pauses.pause();
  }

  /** Has the close let others go on too, if any, the last first. Before this is handed out. */
  void onClose(@Nullable Runnable letGo) {
    if (letGo != null) {
      others = new Others(letGo, others);
    }
  }

  /**
   * Lets the vCPUs run again. From any thread; a second call does nothing, nor does one after the
   * pause has ended with its thread. If this throws, another call goes on.
   */
  @Override
  public void close() {
    try {
      letGo(others);
    } finally {
      pauses.resume(pause);
    }
  }

  /** Each, whatever the others throw; what threw is for another call. */
  private void letGo(@Nullable Others last) {
    if (last == null) {
      return;
    }
    try {
      if (take(last)) {
        boolean gone = false;
        try {
          last.letGo.run();
          gone = true;
        } finally {
          // ORDER S15 volatile: what the call did before it threw. Pairs with take. If weaker: the
          // close that tries again does not see that.
          last.taken = gone;
        }
      }
    } finally {
      letGo(last.before);
    }
  }

  private synchronized boolean take(Others one) {
    boolean first = !one.taken; // S15
    one.taken = true;
    return first;
  }
}
