package dev.smudge.sync.rcu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.LogVcpu;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import org.agrona.concurrent.AgentRunner;
import org.agrona.concurrent.BackoffIdleStrategy;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * In the manner of the kernel's rcutorture: readers of all kinds, an element that is swapped all
 * the time, and retired ones that age by one with each grace period. No reader, as it leaves, has
 * one that is older than one grace period, or reclaimed. {@code -Ddev.smudge.rcu.tortureMillis}
 * makes it last longer.
 */
@SuppressWarnings("ThreadPriorityCheck") // other threads are to come in between
@Timeout(value = 600, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class RcuTortureTest {
  private static final long MILLIS = Long.getLong("dev.smudge.rcu.tortureMillis", 1000);
  private static final int RECLAIM_AGE = 4;
  private static final int POISON = -1;
  private static final int READERS = 10;

  private static final class Element {
    volatile int age; // 0: linked, 1: unlinked, more: grace periods since
    volatile int value = 1;
  }

  private final ConcurrentLinkedQueue<Throwable> errors = new ConcurrentLinkedQueue<>();
  private final DirtyLog log = DirtyLog.builder().errorHandler(errors::add).build();
  private final Rcu rcu = log.rcu();
  private volatile Element current = new Element();
  private final AtomicLong sections = new AtomicLong();
  private final AtomicLong tooOld = new AtomicLong();
  private final AtomicLong reclaimed = new AtomicLong();
  private final AtomicLong queued = new AtomicLong();
  private volatile boolean stop;

  private void read(int number) {
    Random random = new Random(number);
    LogVcpu vcpu = number % 3 == 0 ? log.addVcpu() : null;
    try {
      while (!stop) {
        if (vcpu != null && random.nextInt(4) == 0) {
          vcpu.offline();
        } else if (vcpu != null) {
          vcpu.safepoint();
        }
        if (vcpu != null && random.nextBoolean()) {
          vcpu.online();
          look(random);
        } else {
          readOnce(random, vcpu);
        }
      }
    } catch (RuntimeException | Error e) {
      errors.add(e);
    } finally {
      if (vcpu != null) {
        vcpu.close();
      }
    }
  }

  /** No section: a vCPU that is online, and drops what it found before its next safepoint. */
  private void look(Random random) {
    Element element = current;
    linger(random.nextInt(60), null);
    check(element);
  }

  private void check(Element element) {
    if (element.value == POISON) {
      reclaimed.incrementAndGet();
    }
    if (element.age > 1) {
      tooOld.incrementAndGet();
    }
    sections.incrementAndGet();
  }

  private void readOnce(Random random, @Nullable LogVcpu vcpu) {
    rcu.enter();
    try {
      Element element = current;
      int steps = random.nextInt(6);
      for (int i = 0; i < steps; i++) {
        rcu.enter();
        linger(random.nextInt(60), vcpu);
        rcu.exit();
      }
      check(element);
    } finally {
      rcu.exit();
    }
  }

  private void linger(int choice, @Nullable LogVcpu vcpu) {
    if (choice == 0 && vcpu == null) {
      LockSupport.parkNanos(50_000);
    } else if (choice < 3) {
      Thread.yield();
    } else if (choice < 20 && vcpu != null) {
      vcpu.safepoint();
    } else if (choice < 22 && vcpu != null) {
      vcpu.offline();
    } else if (choice < 24 && vcpu != null) {
      log.barrier();
    } else if (choice == 24 && vcpu != null) {
      log.pause().close();
    } else {
      for (int i = 0; i < choice; i++) {
        Thread.onSpinWait();
      }
    }
  }

  /** Swaps the element all the time; {@code afterGracePeriod} runs what it is given after one. */
  private void update(Consumer<Runnable> afterGracePeriod, BooleanSupplier isSeen) {
    long start = System.nanoTime();
    long end = start + MILLIS * 1_000_000;
    long latest = start + TimeUnit.MINUTES.toNanos(2);
    while (System.nanoTime() - end < 0
        || (!isSeen.getAsBoolean() && System.nanoTime() - latest < 0)) {
      Element old = current;
      current = new Element();
      old.age = 1;
      afterGracePeriod.accept(() -> grow(old, afterGracePeriod));
      while (queued.get() > 10_000 && errors.isEmpty()) {
        Thread.yield();
      }
    }
  }

  @SuppressWarnings("NonAtomicOperationOnVolatileField") // one task an element at a time
  private static void grow(Element element, Consumer<Runnable> afterGracePeriod) {
    int age = element.age + 1;
    element.age = age;
    if (age >= RECLAIM_AGE) {
      element.value = POISON;
    } else {
      afterGracePeriod.accept(() -> grow(element, afterGracePeriod));
    }
  }

  private void torture(Consumer<Runnable> afterGracePeriod) throws InterruptedException {
    torture(afterGracePeriod, () -> sections.get() > READERS);
  }

  /** For longer if what is to be seen has not been seen yet: the readers may have no core. */
  private void torture(Consumer<Runnable> afterGracePeriod, BooleanSupplier isSeen)
      throws InterruptedException {
    List<Thread> readers = new ArrayList<>();
    for (int i = 0; i < READERS; i++) {
      int number = i;
      if (i % 3 == 1) {
        readers.add(RcuCase.startVirtual(() -> read(number)));
      } else {
        Thread thread = new Thread(() -> read(number), "reader " + i);
        readers.add(thread);
        thread.start();
      }
    }
    try {
      update(afterGracePeriod, isSeen);
    } finally {
      stop = true;
      for (Thread reader : readers) {
        reader.join();
      }
    }
    assertTrue(sections.get() > READERS, sections + " sections");
  }

  private void assertNoneTooOld() {
    assertTrue(errors.isEmpty(), errors.toString());
    assertEquals("0 too old, 0 reclaimed", tooOld + " too old, " + reclaimed + " reclaimed");
  }

  @Test
  void bug26_callRcuWithReclaimer_noReaderHasAnOldElement() throws Exception {
    try (AgentRunner runner =
        new AgentRunner(
            new BackoffIdleStrategy(0, 1, 1000, 50_000), errors::add, null, rcu.reclaimer())) {
      AgentRunner.startOnThread(runner);
      torture(task -> {
        queued.incrementAndGet();
        rcu.callRcu(() -> {
          queued.decrementAndGet();
          task.run();
        });
      });
      for (int i = 0; i < RECLAIM_AGE; i++) {
        rcu.barrier();
      }
      assertEquals(0, queued.get());
    }
    assertNoneTooOld();
  }

  @Test
  void bug26_synchronize_noReaderHasAnOldElement() throws Exception {
    torture(task -> {
      rcu.synchronize();
      task.run();
    });
    assertNoneTooOld();
  }

  @Test
  void weakened_noWait_isSeen() throws Exception {
    torture(Runnable::run, () -> reclaimed.get() > 0);
    assertTrue(reclaimed.get() > 0, "of " + sections + " sections");
  }

  @Test
  void weakened_safepointsOnly_isSeen() throws Exception {
    torture(
        task -> {
          log.barrier();
          task.run();
        },
        () -> tooOld.get() > 0);
    assertTrue(tooOld.get() > 0, "of " + sections + " sections");
  }
}
