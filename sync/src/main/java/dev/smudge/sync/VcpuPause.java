package dev.smudge.sync;

import dev.smudge.sync.internal.time.StackRoom;
import dev.smudge.sync.internal.vcpu.Pauses;

/**
 * All vCPUs are stopped, from {@link DirtyLog#pause} until {@code close}, or until the thread that
 * called {@code pause} ends.
 */
public final class VcpuPause implements AutoCloseable {
  private final Pauses pauses;
  private final Pauses.Pause pause;
  private Runnable others = () -> {}; // under this

  VcpuPause(Pauses pauses) {
    StackRoom.check(); // so that there is enough of it to end the pause
    this.pauses = pauses;
    this.pause = pauses.pause();
  }

  /** Has the close let others go on too, the last first. Before this is handed out. */
  synchronized void onClose(Runnable letGo) {
    Runnable before = others;
    others =
        () -> {
          try {
            letGo.run();
          } finally {
            before.run();
          }
        };
  }

  private synchronized Runnable takeOthers() {
    Runnable taken = others;
    others = () -> {};
    return taken;
  }

  /**
   * Lets the vCPUs run again. From any thread; a second call does nothing, nor does one after the
   * pause has ended with its thread. If this throws, another call goes on.
   */
  @Override
  public void close() {
    Runnable taken = takeOthers();
    boolean gone = false;
    try {
      taken.run();
      gone = true;
    } finally {
      if (!gone) {
        synchronized (this) {
          others = taken; // for another call
        }
      }
      pauses.resume(pause);
    }
  }
}
