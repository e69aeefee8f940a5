package dev.smudge.sync;

import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** A process of its own: a prompt vCPU, and barriers that wait for it, until the input ends. */
final class SuspendedGuest {
  private SuspendedGuest() {}

  public static void main(String[] arguments) throws IOException {
    DirtyLog log = DirtyLog.builder().timeout(Duration.ofSeconds(1)).build();
    log.addSlot(0, 100, 4096);
    LogVcpu vcpu = log.addVcpu();
    Thread guest =
        new Thread(() -> {
          for (; ; ) {
            vcpu.safepoint();
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(50));
          }
        });
    guest.setDaemon(true);
    guest.start();
    GuestThread.await(() -> vcpu.state().owner() != null);
    System.out.println("ready");
    while (System.in.available() == 0) {
      log.barrier(); // what it throws ends the process
    }
    System.out.println("done");
  }
}
