package dev.smudge.testkit;

import static dev.smudge.testkit.StormWorld.PAGE;
import static dev.smudge.testkit.StormWorld.PAGES;
import static dev.smudge.testkit.StormWorld.REGION;
import static dev.smudge.testkit.StormWorld.REGIONS;
import static dev.smudge.testkit.StormWorld.oneIn;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.tracker.Tracker;
import dev.smudge.testkit.StormCounts.Kind;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import java.util.logging.Logger;

/**
 * Everything at once, as long as it is told to: vCPUs and devices that write, clients that take,
 * discard and write as themselves, changes of slots, pauses, tasks; and trackers that throw, stacks
 * that overflow, threads that are interrupted, or die: those of vCPUs, the kernel's among them, and
 * those that hold a pause.
 *
 * <p>Each of two clients keeps a copy of all RAM, of what it was handed, and so does the remover of
 * a slot. Now and then all writers are stopped: a byte that differs is a lost write.
 */
public final class Storm implements AutoCloseable {
  private static final long NANOS =
      TimeUnit.SECONDS.toNanos(Long.getLong("smudge.stormSeconds", 2));

  /** Where errors without a caller go: of threads that die, here. */
  private static final Logger REPORTS = Logger.getLogger(DirtyLog.class.getName());

  private final StormCounts counts = new StormCounts();
  private final StormWorld world;
  private final StormChanges changes;
  private final StormClients clients;
  private final StormWriters writers;
  private final StormChaos chaos;

  /**
   * Makes a storm over a new machine.
   *
   * @param factory of the machine
   * @param planted a fault to be found, behind those of the storm; or identity
   * @param random the random numbers
   * @param vcpus software vCPUs besides the machine's own, each in a thread
   */
  public Storm(
      GuestMachine.Factory factory, UnaryOperator<Tracker> planted, Random random, int vcpus) {
    REPORTS.setFilter(report -> {
      counts.count(Kind.REPORTS);
      return false;
    });
    world = new StormWorld(factory, planted, random, counts);
    changes = new StormChanges(world);
    clients = new StormClients(world);
    writers = new StormWriters(world, vcpus);
    clients.start();
    chaos = new StormChaos(world, writers);
    chaos.start();
  }

  /**
   * Lets a storm rage, for {@code -Dsmudge.stormSeconds}, 2 if that is not set, and fails if a byte
   * is lost. {@code -Dsmudge.seed} sets the random numbers.
   *
   * @param name for messages
   * @param factory of the machine
   * @param vcpus software vCPUs besides the machine's own
   */
  public static void assertNothingIsLost(String name, GuestMachine.Factory factory, int vcpus) {
    long seed = Long.getLong("smudge.seed", new Random().nextLong());
    System.out.println("storm, " + name + ": -Dsmudge.seed=" + seed);
    try (Storm storm = new Storm(factory, UnaryOperator.identity(), new Random(seed), vcpus)) {
      long lost = storm.run(NANOS);
      System.out.println("storm, " + name + ": " + storm);
      assertEquals(-1, lost, "offset of a byte that was lost");
    }
  }

  /**
   * Lets it rage.
   *
   * @param nanos how long, in nanoseconds
   * @return the offset of a lost byte in all RAM; -1 if there is none
   */
  public long run(long nanos) {
    long start = System.nanoTime();
    while (System.nanoTime() - start < nanos) {
      for (int i = 0; i < 20; i++) {
        world.survives(() -> changes.change(clients));
        if (oneIn(3, world.random)) {
          world.survives(() -> clients.copy(0, clients.first().take(), world.random));
          counts.count(Kind.TAKES);
        }
      }
      long lost = check();
      if (lost >= 0) {
        return lost;
      }
      world.checkFailure(); // sooner than at the end
    }
    return check();
  }

  /** Where nobody writes: the first byte that a copy has not; -1 if there is none. */
  private long check() {
    return world.whileAllAreStopped(this::compare);
  }

  private long compare() {
    changes.copyLost();
    clients.takeAll();
    for (int c = 0; c < world.copies.length; c++) {
      counts.add(Kind.PAGES_COMPARED, (long) REGIONS * PAGES);
      long lost = world.copies[c].mismatch(world.all);
      if (lost >= 0) {
        describe(c, lost);
        return lost;
      }
    }
    return -1;
  }

  private void describe(int client, long at) {
    int region = (int) (at / REGION);
    long page = at / PAGE;
    long bytes = 0;
    for (long i = page * PAGE; i < (page + 1) * PAGE; i++) {
      if (world.copies[client].get(ValueLayout.JAVA_BYTE, i)
          != world.all.get(ValueLayout.JAVA_BYTE, i)) {
        bytes++;
      }
    }
    System.out.println(
        "lost: client "
            + client
            + ", page "
            + page % PAGES
            + " of region "
            + region
            + ", from byte "
            + at % PAGE
            + ", "
            + bytes
            + " bytes; "
            + changes.describe(region));
  }

  @Override
  public String toString() {
    return counts.toString();
  }

  /** Ends all threads, and the machine. What one of them threw comes out. */
  @Override
  public void close() {
    world.calm();
    world.threads.forEach(Storm::join);
    chaos.holders().forEach(Storm::join);
    writers.guests().forEach(guest -> join(guest.thread()));
    world.machine.close();
    REPORTS.setFilter(null);
    world.checkFailure();
  }

  private static void join(Thread thread) {
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
