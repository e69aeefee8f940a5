package dev.smudge.testkit;

import dev.smudge.core.GuestMemory;
import dev.smudge.sync.VcpuPause;
import dev.smudge.sync.tracker.Tracker;
import dev.smudge.testkit.StormCounts.Kind;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.ReentrantLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.LongSupplier;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * What all who act in a storm share: the machine and its RAM, the copies of it, threads that may
 * die, and the faults of the storm, which are none of the caller's.
 */
final class StormWorld {
  static final int PAGE = GuestMachine.PAGE;
  static final int PAGES = 16; // per region
  static final int REGION = PAGES * PAGE;
  static final int REGIONS = 6;
  static final int FIXED = 2; // regions whose addresses are always there
  static final long WINDOW = 1L << 20;
  static final int STACK = 256 << 10;

  /** A guest thread ends in the middle of its work. */
  static final class Death extends RuntimeException {
    private static final long serialVersionUID = 1L;
  }

  /** What a thread does, with random numbers of its own. */
  interface Body {
    void run(Random own);
  }

  final GuestMachine machine;
  final GuestMemory memory;
  final Random random;
  final MemorySegment all;
  final MemorySegment[] copies; // one for each client
  final AtomicIntegerArray windows = new AtomicIntegerArray(REGIONS); // where regions are
  final StormCounts counts;
  final List<Thread> threads = new CopyOnWriteArrayList<>(); // but those of guests
  final ReentrantReadWriteLock asyncWrites = new ReentrantReadWriteLock();
  final ReentrantLock second = new ReentrantLock(); // the second client's
  final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
  private final AtomicReference<@Nullable StormTracker> tracker = new AtomicReference<>();
  volatile boolean stop;

  StormWorld(
      GuestMachine.Factory factory,
      UnaryOperator<Tracker> planted,
      Random random,
      StormCounts counts) {
    this.random = random;
    this.counts = counts;
    long seed = random.nextLong();
    machine =
        factory.machine(real -> {
          StormTracker made = new StormTracker(planted.apply(real), seed);
          tracker.set(made);
          return made;
        });
    memory = machine.memory();
    all = machine.ram((long) REGIONS * PAGES);
    copies = new MemorySegment[] {newCopy(), newCopy()};
  }

  MemorySegment newCopy() {
    return MemorySegment.ofArray(new byte[REGIONS * REGION]);
  }

  Thread start(String name, Body body) {
    long seed = random.nextLong();
    Thread thread = new Thread(null, () -> guarded(() -> body.run(new Random(seed))), name, STACK);
    thread.setDaemon(true);
    threads.add(thread);
    thread.start();
    return thread;
  }

  void guarded(Runnable body) {
    try {
      body.run();
    } catch (Death e) {
      counts.count(Kind.DEATHS_OF_VCPUS);
    } catch (Throwable e) {
      failure.compareAndSet(null, e);
    }
  }

  /** Does something until no fault of the storm comes between. */
  void retry(Runnable what) {
    while (!survives(what)) {
      Thread.onSpinWait();
    }
  }

  /** Whether it was done; a fault of the storm is none of the caller's. */
  boolean survives(Runnable what) {
    try {
      what.run();
      return true;
    } catch (StormTracker.Fault e) {
      counts.count(Kind.FAULTS);
    } catch (OutOfMemoryError e) {
      if (!"of the storm".equals(e.getMessage())) {
        throw e;
      }
      counts.count(Kind.FAULTS);
    } catch (StackOverflowError e) {
      counts.count(Kind.OVERFLOWS_OF_A_STACK);
    }
    return false;
  }

  /** Runs something near the end of the stack. */
  void squeezed(Random own, Runnable what) {
    int depth = own.nextInt(20_000);
    survives(() -> descend(depth, what));
  }

  private static int descend(int depth, Runnable what) {
    if (depth > 0) {
      return descend(depth - 1, what) + 1;
    }
    what.run();
    return 0;
  }

  static boolean oneIn(int n, Random own) {
    return own.nextInt(n) == 0;
  }

  static void forgetInterrupt(Random own) {
    if (oneIn(20, own)) {
      Thread.interrupted();
    }
  }

  static long address(int region, int window) {
    return GuestMachine.BASE + region * WINDOW + window * WINDOW / 2;
  }

  long somewhere(Random own) {
    int r = own.nextInt(REGIONS);
    return address(r, windows.get(r)) + own.nextInt(REGION);
  }

  void copyTo(MemorySegment copy, MemorySegment content) {
    copy.asSlice(content.address() - all.address(), content.byteSize()).copyFrom(content);
  }

  long whileAllAreStopped(LongSupplier what) {
    asyncWrites.writeLock().lock();
    second.lock();
    try {
      VcpuPause pause = memory.pauseAll();
      try {
        return what.getAsLong();
      } finally {
        pause.close();
      }
    } finally {
      second.unlock();
      asyncWrites.writeLock().unlock();
    }
  }

  void checkFailure() {
    Throwable e = failure.get();
    if (e != null) {
      throw new AssertionError("a thread of the storm", e);
    }
  }

  /** No thread begins anything, and no fault comes from here on. */
  void calm() {
    stop = true;
    Objects.requireNonNull(tracker.get()).calm();
  }
}
