package consumer;

import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.LogVcpu;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.agrona.concurrent.AgentRunner;
import org.agrona.concurrent.BackoffIdleStrategy;
import org.agrona.concurrent.CompositeAgent;

/** The reaper and the reclaimer in one thread of Agrona's. */
public final class Main {
  private Main() {}

  public static void main(String[] args) throws InterruptedException {
    CountDownLatch reclaimed = new CountDownLatch(1);
    DirtyLog log = DirtyLog.builder().ring(64).build();
    try (log;
        AgentRunner runner =
            new AgentRunner(
                new BackoffIdleStrategy(),
                Throwable::printStackTrace,
                null,
                new CompositeAgent(log.reaper(), log.rcu().reclaimer()))) {
      AgentRunner.startOnThread(runner);
      LogSlot slot = log.addSlot(0, 4096, 4096);
      log.client("nobody takes", InitialView.NONE_DIRTY);
      LogVcpu vcpu = log.addVcpu(() -> {});
      vcpu.online();
      for (int page = 0; page < 4096; page++) { // far more than a ring holds: somebody reaps
        vcpu.mark(slot, page * 4096L, 1);
        vcpu.safepoint();
      }
      vcpu.offline();
      log.rcu().callRcu(reclaimed::countDown);
      if (!reclaimed.await(60, TimeUnit.SECONDS)) {
        throw new AssertionError("the reclaimer did not run");
      }
    }
    System.out.println("agents on Java " + Runtime.version().feature());
  }
}
