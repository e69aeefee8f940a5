package dev.smudge.kvm;

import dev.smudge.core.GuestSlot;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.tracker.Tracker;
import dev.smudge.testkit.GuestMachine;
import java.util.concurrent.CompletableFuture;
import java.util.function.UnaryOperator;
import java.util.stream.LongStream;

/** Makes memories over a VM, and guests in it that write without end. */
abstract class KvmTrackerCase {
  static final long BASE = GuestMachine.BASE;
  static final int PAGE = GuestMachine.PAGE;
  static final int PAGES = 512;

  static KvmMachine machine(int ring) {
    return machine(ring, real -> real);
  }

  static KvmMachine machine(int ring, UnaryOperator<Tracker> between) {
    return new KvmMachine(ring, true, DirtyLog.builder().interceptTracker(between));
  }

  static GuestSlot slot(GuestMachine machine) {
    return machine.memory().addSlot(1, BASE, machine.ram(PAGES), PAGE);
  }

  static DirtyClient<GuestSlot> client(GuestMachine machine) {
    return machine.memory().client("c", InitialView.NONE_DIRTY);
  }

  static long[] allPages() {
    return LongStream.range(0, PAGES).map(page -> BASE + page * PAGE).toArray();
  }

  static CompletableFuture<Integer> startEndless(KvmMachine machine) {
    machine.program.mode(false, true);
    machine.program.list(allPages());
    machine.program.iteration(1);
    return machine.start();
  }

  static void awaitRounds(KvmMachine machine, long more) {
    long until = machine.program.rounds() + more;
    while (machine.program.rounds() < until) {
      Thread.onSpinWait();
    }
  }
}
