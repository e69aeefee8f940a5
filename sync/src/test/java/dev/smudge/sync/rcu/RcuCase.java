package dev.smudge.sync.rcu;

import java.time.Duration;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.agrona.concurrent.Agent;

/** An RCU without vCPUs, and threads that read. */
abstract class RcuCase {
  static final long LONG = Duration.ofSeconds(10).toNanos();
  final ConcurrentLinkedQueue<Throwable> errors = new ConcurrentLinkedQueue<>();
  final Rcu rcu = rcu(LONG, false);

  Rcu rcu(long timeoutNanos, boolean stacks) {
    return Rcu.create(RcuVcpus.NONE, Duration.ofNanos(timeoutNanos), errors::add, stacks);
  }

  Rcu impatient() {
    return rcu(Duration.ofMillis(30).toNanos(), false);
  }

  /** A virtual thread where there are any, else a platform thread. */
  static Thread startVirtual(Runnable body) {
    try {
      return (Thread)
          Thread.class.getMethod("startVirtualThread", Runnable.class).invoke(null, body);
    } catch (ReflectiveOperationException e) {
      Thread thread = new Thread(body);
      thread.start();
      return thread;
    }
  }

  static int doWork(Agent agent) {
    try {
      return agent.doWork();
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }

  static Thread start(Runnable body) {
    Thread thread = new Thread(body);
    thread.start();
    return thread;
  }
}
