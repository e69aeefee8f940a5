package dev.smudge.sync.rcu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.GuestThread;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The readers that RCU knows: found by their threads, and forgotten after these have ended. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class RcuReadersTest extends RcuCase {
  @Test
  void deadReader_countsAsLeft_reportedOnce() throws Exception {
    Thread reader = new Thread(rcu::enter, "dies inside");
    reader.start();
    reader.join();
    rcu.synchronize();
    rcu.synchronize();
    assertEquals(1, errors.size());
    assertTrue(String.valueOf(errors.peek()).contains("dies inside"));
  }

  @Test
  void deadReaders_many_arePruned_andReportedOnce() throws Exception {
    for (int i = 0; i < 1000; i++) {
      Thread reader = new Thread(rcu::enter);
      reader.start();
      reader.join();
    }
    assertTrue(rcu.readerCount() < 200, "readers: " + rcu.readerCount());
    rcu.synchronize();
    assertEquals(1000, errors.size());
  }

  @Test
  void deadReaders_ofThreadsThatLivedAtTheSameTime_areGoneAfterAGracePeriod() throws Exception {
    CountDownLatch in = new CountDownLatch(500);
    CountDownLatch leave = new CountDownLatch(1);
    List<Thread> readers = new ArrayList<>();
    for (int i = 0; i < 500; i++) {
      Runnable body =
          () -> {
            rcu.enter();
            rcu.exit();
            in.countDown();
            GuestThread.await(leave);
          };
      readers.add(i % 2 == 0 ? startVirtual(body) : start(body));
    }
    in.await();
    assertTrue(rcu.readerCount() >= 500);
    leave.countDown();
    for (Thread reader : readers) {
      reader.join();
    }
    rcu.synchronize();
    assertTrue(rcu.readerCount() < 64, "readers: " + rcu.readerCount());
  }

  @Test
  void readers_ofThousandsOfShortLivedThreads_areBounded() throws Exception {
    int most = 0;
    for (int i = 0; i < 6000; i++) {
      Runnable body =
          () -> {
            rcu.enter();
            rcu.exit();
          };
      Thread reader = i % 2 == 0 ? startVirtual(body) : start(body);
      reader.join();
      most = Math.max(most, rcu.readerCount());
    }
    assertTrue(most <= 80, "readers: " + most);
  }

  /** Its workers live on, and lose their thread-local variables after each task. */
  @Test
  void readers_ofTheCommonPool_areOnePerWorker() throws Exception {
    int others = 400; // the table is full of living threads
    CountDownLatch in = new CountDownLatch(others);
    CountDownLatch leave = new CountDownLatch(1);
    List<Thread> living = new ArrayList<>();
    for (int i = 0; i < others; i++) {
      living.add(
          start(() -> {
            rcu.enter();
            rcu.exit();
            in.countDown();
            GuestThread.await(leave);
          }));
    }
    in.await();
    for (int i = 0; i < 20_000; i++) {
      ForkJoinPool.commonPool()
          .submit(() -> {
            rcu.enter();
            rcu.exit();
          })
          .join();
    }
    int workers = Runtime.getRuntime().availableProcessors() + 1;
    int readers = rcu.readerCount();
    leave.countDown();
    for (Thread thread : living) {
      thread.join();
    }
    assertTrue(readers <= others + others / 16 + 64 + workers, "readers: " + readers);
  }

  @Test
  void sections_ofMoreThreadsThanTheTableHas_eachFindsItsOwn() throws Exception {
    int count = 300;
    CountDownLatch in = new CountDownLatch(count);
    CountDownLatch leave = new CountDownLatch(1);
    AtomicInteger right = new AtomicInteger();
    List<Thread> readers = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      boolean inside = i % 2 == 0;
      Runnable body =
          () -> {
            rcu.enter();
            rcu.exit();
            if (inside) {
              rcu.enter();
            }
            in.countDown();
            GuestThread.await(leave);
            if (rcu.isInSection() == inside) {
              right.incrementAndGet();
            }
            if (inside) {
              rcu.exit();
            }
          };
      readers.add(i % 3 == 0 ? startVirtual(body) : start(body));
    }
    in.await();
    GracePeriod gracePeriod = rcu.begin();
    assertFalse(gracePeriod.isOver());
    leave.countDown();
    for (Thread reader : readers) {
      reader.join();
    }
    assertEquals(count, right.get());
    assertTrue(gracePeriod.isOver());
    assertTrue(errors.isEmpty(), errors.toString());
  }

  @Test
  void registration_whileOthersPrune_livingReaderIsFound() throws Exception {
    AtomicBoolean stop = new AtomicBoolean();
    try (GuestThread churn = new GuestThread("churn");
        GuestThread churn2 = new GuestThread("churn 2");
        GuestThread reader = new GuestThread("reader")) {
      List<Future<?>> churning = new ArrayList<>();
      for (GuestThread thread : List.of(churn, churn2)) {
        churning.add(
            thread.begin(() -> {
              while (!stop.get()) {
                Thread shortLived =
                    new Thread(() -> {
                      rcu.enter();
                      rcu.exit();
                    });
                shortLived.start();
                shortLived.join();
              }
            }));
      }
      for (int i = 0; i < 300; i++) {
        reader.run(rcu::enter);
        GracePeriod gracePeriod = rcu.begin();
        for (int j = 0; j < 20; j++) {
          assertFalse(gracePeriod.isOver());
        }
        reader.run(rcu::exit);
        GuestThread.await(gracePeriod::isOver);
      }
      stop.set(true);
      churning.forEach(GuestThread::end);
    }
    assertTrue(errors.isEmpty(), errors.toString());
  }
}
