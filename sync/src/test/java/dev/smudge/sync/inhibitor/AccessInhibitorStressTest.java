package dev.smudge.sync.inhibitor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.GuestThread;
import dev.smudge.sync.inhibitor.AccessInhibitor.Hold;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Threads enter and leave while others change what is only whole outside of a hold. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class AccessInhibitorStressTest {
  private static final int THREADS = 4;
  private static final long NANOS = 1_500_000_000; // of each race
  private static final int LEAST = 10; // changes, however long they take

  private final ConcurrentLinkedQueue<Throwable> errors = new ConcurrentLinkedQueue<>();
  private final AccessInhibitor inhibitor =
      AccessInhibitor.create(Duration.ofSeconds(60), errors::add);

  /** A slot: a first page, a count. Plain fields, as in a table that is changed by two ioctls. */
  private record Slot(int first, int count) {}

  private final Slot[] table = new Slot[2]; // null: deleted
  private long one; // changes so far; always equal to the other
  private long other;

  /** What a vCPU does while it is inside. */
  private interface Look {
    boolean isWhole();
  }

  private boolean isEqual() {
    long a = one;
    for (int i = 0; i < 20; i++) {
      Thread.onSpinWait();
    }
    return a == other;
  }

  private void flip(int change) {
    one = change;
    for (int i = 0; i < 20; i++) {
      Thread.onSpinWait();
    }
    other = change;
  }

  /** Looks up a page, as KVM does for each access of the guest: all pages are there always. */
  private boolean findsEachPage() {
    int page = ThreadLocalRandom.current().nextInt(100);
    int found = 0;
    for (Slot slot : table) {
      if (slot != null && page >= slot.first && page - slot.first < slot.count) {
        found++;
      }
    }
    return found == 1;
  }

  /** Moves the bound between the slots: deletes both, adds both. */
  private void split(int change) {
    int at = 1 + change % 98;
    table[0] = null;
    table[1] = null;
    Thread.onSpinWait();
    table[0] = new Slot(0, at);
    table[1] = new Slot(at, 100 - at);
  }

  private interface Change {
    void make(int number);
  }

  private Runnable inhibited(Change change) {
    AtomicInteger number = new AtomicInteger();
    return () -> {
      try (Hold hold = inhibitor.inhibit()) {
        assertNotNull(hold);
        change.make(number.incrementAndGet());
      }
    };
  }

  /**
   * Runs the vCPUs beside the changes, in one thread or more; returns how often it was not whole.
   */
  private long race(Look look, Runnable change, int changers) {
    AtomicBoolean stop = new AtomicBoolean();
    AtomicLong torn = new AtomicLong();
    AtomicInteger inside = new AtomicInteger(); // how often one has entered
    List<GuestThread> threads = new ArrayList<>();
    List<Future<?>> running = new ArrayList<>();
    for (int i = 0; i < THREADS; i++) {
      GuestThread thread = new GuestThread("vcpu " + i);
      threads.add(thread);
      AtomicBoolean immediateExit = new AtomicBoolean();
      running.add(thread.begin(() -> runVcpu(look, stop, torn, inside, immediateExit)));
    }
    GuestThread.await(() -> inside.get() >= THREADS);
    List<Future<?>> changing = new ArrayList<>();
    for (int i = 0; i < changers; i++) {
      GuestThread thread = new GuestThread("changer " + i);
      threads.add(thread);
      changing.add(
          thread.begin(() -> {
            long end = System.nanoTime() + NANOS;
            for (int made = 0;
                torn.get() == 0 && (made <= LEAST || System.nanoTime() - end < 0);
                made++) {
              change.run();
            }
          }));
    }
    try {
      changing.forEach(GuestThread::end);
    } finally {
      stop.set(true);
    }
    running.forEach(GuestThread::end);
    threads.forEach(GuestThread::close);
    assertEquals(List.of(), List.copyOf(errors));
    return torn.get();
  }

  private void runVcpu(
      Look look,
      AtomicBoolean stop,
      AtomicLong torn,
      AtomicInteger inside,
      AtomicBoolean immediateExit) {
    try (InhibitableAccess access = inhibitor.addAccess(() -> immediateExit.set(true))) {
      while (!stop.get()) {
        immediateExit.set(false);
        access.enter();
        inside.incrementAndGet();
        try {
          // Some runs end by themselves, the others only by a kick. No int counts those: a loop
          // that
          // has a last step may be compiled without a safepoint of the JVM, which stops the
          // changer.
          boolean untilKicked = ThreadLocalRandom.current().nextInt(8) == 0;
          for (long i = 0; (untilKicked || i < 3) && !immediateExit.get() && !stop.get(); i++) {
            if (!look.isWhole()) {
              torn.incrementAndGet();
            }
          }
        } finally {
          access.leave();
        }
        if (ThreadLocalRandom.current().nextInt(4) == 0) {
          LockSupport.parkNanos(50_000); // idle
        }
      }
    }
  }

  @Test
  void inhibit_twoFieldsAreFlipped_noThreadInsideSeesThemTorn() {
    assertEquals(0, race(this::isEqual, inhibited(this::flip), 1));
    assertTrue(one > LEAST, () -> "changes: " + one);
  }

  @Test
  void inhibit_byTwoChangersAndAVcpuThatChanges_noThreadInsideSeesThemTorn() {
    AtomicInteger holders = new AtomicInteger();
    Change change =
        number -> {
          assertEquals(1, holders.incrementAndGet(), "one holder at a time");
          flip(number);
          inhibitor.inhibit().close();
          holders.decrementAndGet();
        };
    assertEquals(0, race(this::isEqual, inhibited(change), 2));
  }

  @Test
  void bug17_slotsAreDeletedAndAdded_noVcpuSeesTheHole() {
    split(50);
    assertEquals(0, race(this::findsEachPage, inhibited(this::split), 1));
  }

  @Test
  void bug17_weakenedWithoutInhibit_theHoleIsSeen() {
    split(50);
    AtomicInteger number = new AtomicInteger();
    long end = System.nanoTime() + 20 * NANOS;
    long seen = 0;
    while (seen == 0 && System.nanoTime() < end) {
      seen = race(this::findsEachPage, () -> split(number.incrementAndGet()), 1);
    }
    assertTrue(seen > 0, "the test would not see a hole");
  }
}
