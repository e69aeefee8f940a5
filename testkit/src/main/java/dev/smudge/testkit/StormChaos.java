package dev.smudge.testkit;

import static dev.smudge.testkit.StormWorld.address;
import static dev.smudge.testkit.StormWorld.forgetInterrupt;
import static dev.smudge.testkit.StormWorld.oneIn;

import dev.smudge.core.Vcpu;
import dev.smudge.sync.VcpuPause;
import dev.smudge.testkit.StormCounts.Kind;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Future;
import java.util.concurrent.locks.LockSupport;

/** Who disturbs the others in a storm: interrupts, pauses, tasks, and a look for the dead. */
final class StormChaos {
  private final StormWorld world;
  private final StormWriters writers;
  private final List<Thread> holders = new CopyOnWriteArrayList<>(); // of pauses

  StormChaos(StormWorld world, StormWriters writers) {
    this.world = world;
    this.writers = writers;
  }

  /** It begins. */
  void start() {
    world.start("chaos", this::chaos);
  }

  List<Thread> holders() {
    return holders;
  }

  private void chaos(Random own) {
    while (!world.stop) {
      switch (own.nextInt(6)) {
        case 0 -> interruptOne(own);
        case 1 -> pauseByOneWhoMayDie(own);
        case 2 -> pauseAll();
        case 3 -> task(own);
        default -> writers.replaceTheDead();
      }
      forgetInterrupt(own);
      LockSupport.parkNanos(own.nextInt(2_000_000));
    }
  }

  private void interruptOne(Random own) {
    List<Thread> threads = new ArrayList<>();
    writers.guests().forEach(guest -> threads.add(guest.thread()));
    threads.addAll(world.threads);
    threads.get(own.nextInt(threads.size())).interrupt();
    world.counts.count(Kind.INTERRUPTS);
  }

  private void pauseByOneWhoMayDie(Random own) {
    boolean dies = oneIn(4, own);
    Thread holder =
        new Thread(() ->
            world.guarded(() -> {
              VcpuPause pause = world.memory.log().pause();
              if (!dies) {
                pause.close();
              }
            }));
    holder.setDaemon(true);
    holders.removeIf(old -> !old.isAlive());
    holders.add(holder);
    holder.start();
    if (oneIn(3, own)) {
      holder.interrupt();
      world.counts.count(Kind.INTERRUPTS);
    }
    world.counts.count(dies ? Kind.PAUSES_WHOSE_HOLDER_DIES : Kind.PAUSES);
  }

  /** While all are stopped, nothing changes. */
  private void pauseAll() {
    world.whileAllAreStopped(() -> {
      MemorySegment before = world.newCopy().copyFrom(world.all);
      LockSupport.parkNanos(10_000);
      if (before.mismatch(world.all) >= 0) {
        throw new AssertionError("something wrote during a pause of all");
      }
      return -1;
    });
    world.counts.count(Kind.PAUSES);
  }

  private void task(Random own) {
    List<StormWriters.Guest> guests = writers.guests();
    if (guests.isEmpty()) {
      return;
    }
    Vcpu vcpu = guests.get(own.nextInt(guests.size())).vcpu().get();
    if (vcpu == null) {
      return;
    }
    int what = own.nextInt(3);
    long value = own.nextLong();
    try {
      Future<?> _ =
          vcpu.runOnVcpu(() -> {
            switch (what) {
              case 0 -> vcpu.offline();
              case 1 -> vcpu.putLong(address(0, 0) + (value & 0xfff), value);
              default -> throw new StormTracker.Fault(); // into its future
            }
          });
      world.counts.count(Kind.TASKS);
    } catch (IllegalStateException e) {
      // Its thread has died, or it has too many tasks.
    }
  }
}
