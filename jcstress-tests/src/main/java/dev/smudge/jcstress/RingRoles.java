package dev.smudge.jcstress;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadLocalRandom;
import org.jspecify.annotations.Nullable;
import org.openjdk.jcstress.infra.results.III_Result;

/**
 * A small ring, and what its three roles do: pages 0, 1, 2... go through it, each once; the number
 * stands in the entry's slot and in its page. Nobody waits for ever: what is left at the end is
 * harvested and reset by {@link #judge}.
 *
 * <p>jcstress does not run tests of three actors on a machine of two cores. So one actor has two of
 * the roles, by chance which two; or there are three threads, one of which is not an actor.
 */
abstract class RingRoles {
  static final int ENTRIES = 4;
  private static final int PAGES = 48;
  private static final int LONGEST_WAIT = 500;
  private static final int PUSH = 1;
  private static final int HARVEST = 2;
  private static final int RESET = 4;
  private static final int ALL = PUSH | HARVEST | RESET;

  private static final boolean CORES_FOR_THREE = Runtime.getRuntime().availableProcessors() > 2;
  private static final Executor THIRD_THREAD =
      Executors.newSingleThreadExecutor(task -> {
        Thread thread = new Thread(task, "third");
        thread.setDaemon(true);
        return thread;
      });

  private final Pace pace = new Pace();
  private final int alone = 1 << ThreadLocalRandom.current().nextInt(3);
  private final Tally harvested = new Tally();
  private final Tally armed = new Tally();
  private int pushed;
  private @Nullable CompletableFuture<Void> third;

  /** Returns false if the ring is full. */
  abstract boolean push(int page);

  /** Returns false if there is nothing to do. */
  abstract boolean harvest();

  /** Returns false if there is nothing to do. */
  abstract boolean reset();

  /** The actor that has two roles. */
  final void runTwoRoles() {
    pace.meet();
    run(ALL & ~alone, true);
  }

  /** The actor that has the third role. */
  final void runThirdRole() {
    pace.meet();
    run(alone, true);
  }

  /** The vCPU's actor, if there are three threads. */
  final void pushAndStartThird() {
    third = CompletableFuture.runAsync(() -> run(RESET, CORES_FOR_THREE), THIRD_THREAD);
    pace.meet();
    run(PUSH, CORES_FOR_THREE);
  }

  /** The collector's actor, if there are three threads. */
  final void harvestAll() {
    pace.meet();
    run(HARVEST, CORES_FOR_THREE);
  }

  @SuppressWarnings("ThreadPriorityCheck") // three threads on two cores
  private void run(int roles, boolean spin) {
    for (int waits = 0; waits < LONGEST_WAIT && !isDone(roles); waits++) {
      if (waits > 0 && spin) {
        Thread.onSpinWait();
      } else if (waits > 0) {
        Thread.yield();
      }
      if ((roles & PUSH) != 0 && pushed < PAGES && push(pushed)) {
        pushed++;
        waits = 0;
      }
      if ((roles & HARVEST) != 0 && harvest()) {
        waits = 0;
      }
      if ((roles & RESET) != 0 && reset()) {
        waits = 0;
      }
    }
  }

  private boolean isDone(int roles) {
    return ((roles & PUSH) == 0 || pushed == PAGES)
        && ((roles & HARVEST) == 0 || harvested.total >= PAGES)
        && ((roles & RESET) == 0 || armed.total >= PAGES);
  }

  /** Leaves no entry free: as many pages as there are entries are pushed and harvested. */
  final void fill() {
    while (push(pushed)) {
      pushed++;
    }
    while (harvest()) {}
  }

  /** The vCPU's actor at a full ring. */
  final void pushSome() {
    pace.meet(100);
    for (int i = 0; i < 20; i++) {
      if (push(pushed)) {
        pushed++;
      }
    }
  }

  /** The resetter's actor at a full ring. */
  final void resetFull() {
    pace.meet(100);
    while (reset()) {}
  }

  /** To be called by {@link #harvest}, once an entry. */
  final void harvested(int slotId, long pageIndex) {
    harvested.add(slotId, pageIndex);
  }

  /** To be called by {@link #reset}, once an entry, before it is given back. */
  final void armed(int slotId, long pageIndex) {
    armed.add(slotId, pageIndex);
  }

  /** {@return whether the page was armed} */
  final boolean isArmed(int page) {
    return armed.times[page] != 0;
  }

  /** Lets the other actor come in between. */
  final void linger() {
    pace.pass(100);
  }

  /**
   * The next round. r1, r2: whether an entry's slot and page did not match at the harvester, and at
   * the armer (1); r3: whether a page was lost or doubled (1).
   */
  final void judge(III_Result result) {
    if (third != null) {
      third.join();
    }
    boolean more = true;
    for (int i = 0; i < 4 * PAGES && more; i++) {
      more = harvest();
      more |= reset();
    }
    result.r1 = harvested.mismatch ? 1 : 0;
    result.r2 = armed.mismatch ? 1 : 0;
    for (int page = 0; page < PAGES; page++) {
      int expected = page < pushed ? 1 : 0;
      if (harvested.times[page] != expected || armed.times[page] != expected) {
        result.r3 = 1;
      }
    }
  }

  /** As {@link #judge}; r1: whether a push was accepted (1); r2: as r1 or r2 there. */
  final void judgeFull(III_Result result) {
    judge(result);
    result.r2 |= result.r1;
    result.r1 = pushed > ENTRIES ? 1 : 0;
  }

  /** What one role has seen. */
  private static final class Tally {
    final int[] times = new int[PAGES];
    int total;
    boolean mismatch;

    void add(int slotId, long pageIndex) {
      mismatch |= slotId != pageIndex;
      times[slotId]++;
      total++;
    }
  }
}
