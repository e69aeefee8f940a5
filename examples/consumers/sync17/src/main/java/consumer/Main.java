package consumer;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.LogVcpu;
import dev.smudge.sync.VcpuPause;
import dev.smudge.sync.inhibitor.AccessInhibitor;
import java.util.concurrent.atomic.AtomicInteger;

/** An emulator with RAM of its own, on a path that has no Agrona. */
public final class Main {
  private Main() {}

  public static void main(String[] args) {
    try {
      Class.forName("org.agrona.concurrent.Agent");
      throw new AssertionError("Agrona is there: this shows nothing");
    } catch (ClassNotFoundException e) {
      // as it should be
    }
    check(pagesOf(DirtyLog.create()), 2);
    check(pagesOf(DirtyLog.builder().ring(64).build()), 2);
    check(reaped(), 150);
    check(reclaimed(), 1);
    AccessInhibitor.create();
    System.out.println("sync on Java " + Runtime.version().feature() + ": no Agrona, no warning");
  }

  private static long pagesOf(DirtyLog log) {
    try (log) {
      LogSlot slot = log.addSlot(0, 256, 4096);
      DirtyClient<LogSlot> client = log.client("display", InitialView.NONE_DIRTY);
      LogVcpu vcpu = log.addVcpu(() -> {});
      vcpu.online();
      vcpu.mark(slot, 0x1fff, 2); // of two pages
      vcpu.safepoint();
      vcpu.offline();
      VcpuPause pause = log.pause();
      try (DirtyBatch<LogSlot> batch = client.take()) {
        long pages = batch.pageCount();
        batch.commit();
        return pages;
      } finally {
        pause.close();
      }
    }
  }

  private static int reaped() {
    try (DirtyLog log = DirtyLog.builder().ring(256).build()) {
      LogSlot slot = log.addSlot(0, 256, 4096);
      log.client("display", InitialView.NONE_DIRTY);
      LogVcpu vcpu = log.addVcpu(() -> {});
      vcpu.online();
      for (int page = 0; page < 150; page++) {
        vcpu.mark(slot, page * 4096L, 1);
        vcpu.safepoint();
      }
      vcpu.offline();
      return log.reap();
    }
  }

  private static int reclaimed() {
    AtomicInteger ran = new AtomicInteger();
    try (DirtyLog log = DirtyLog.create()) {
      log.rcu().callRcu(ran::incrementAndGet);
      log.rcu().reclaim();
      log.rcu().barrier();
    }
    return ran.get();
  }

  private static void check(long is, long expected) {
    if (is != expected) {
      throw new AssertionError(is + ", not " + expected);
    }
  }
}
