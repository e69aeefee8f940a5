package dev.smudge.testkit;

import static dev.smudge.testkit.StormWorld.FIXED;
import static dev.smudge.testkit.StormWorld.PAGE;
import static dev.smudge.testkit.StormWorld.REGION;
import static dev.smudge.testkit.StormWorld.STACK;
import static dev.smudge.testkit.StormWorld.address;
import static dev.smudge.testkit.StormWorld.forgetInterrupt;
import static dev.smudge.testkit.StormWorld.oneIn;

import dev.smudge.core.AsyncWrite;
import dev.smudge.core.GuestAccessException;
import dev.smudge.core.Vcpu;
import dev.smudge.testkit.StormCounts.Kind;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/** Who writes in a storm: vCPUs, the machine's own among them, and a device. */
final class StormWriters {
  /** A thread that runs a vCPU. */
  record Guest(Thread thread, AtomicReference<@Nullable Vcpu> vcpu) {}

  private final StormWorld world;
  private final List<Guest> guests = new CopyOnWriteArrayList<>();
  private volatile Thread machineThread; // dies as well, and another one takes its place

  StormWriters(StormWorld world, int vcpus) {
    this.world = world;
    for (int v = 0; v < vcpus; v++) {
      startGuest();
    }
    machineThread = world.start("machine", this::machineWrites);
    world.start("device", this::deviceWrites);
  }

  List<Guest> guests() {
    return guests;
  }

  private void startGuest() {
    long seed = world.random.nextLong();
    AtomicReference<@Nullable Vcpu> vcpu = new AtomicReference<>();
    Thread thread =
        new Thread(null, () -> world.guarded(() -> guest(vcpu, new Random(seed))), "guest", STACK);
    thread.setDaemon(true);
    guests.add(new Guest(thread, vcpu));
    thread.start();
  }

  private void guest(AtomicReference<@Nullable Vcpu> handle, Random own) {
    Vcpu vcpu = world.memory.addVcpu();
    handle.set(vcpu);
    while (!world.stop) {
      for (int i = 0; i < 32; i++) {
        try {
          if (oneIn(100, own)) {
            world.squeezed(own, () -> store(vcpu, own));
          } else {
            store(vcpu, own);
          }
          world.counts.count(Kind.WRITES_BY_VCPUS);
        } catch (GuestAccessException e) {
          // No slot is there now.
        }
      }
      world.survives(vcpu::safepoint);
      forgetInterrupt(own);
      if (oneIn(16, own)) {
        vcpu.offline();
        LockSupport.parkNanos(own.nextInt(200_000));
      } else if (oneIn(2_000, own)) {
        throw new StormWorld.Death();
      }
    }
    vcpu.close();
  }

  private void store(Vcpu vcpu, Random own) {
    long at = world.somewhere(own);
    switch (own.nextInt(10)) {
      case 0 -> vcpu.fill(at, own.nextInt(3 * PAGE), (byte) own.nextInt());
      case 1 -> {
        byte[] bytes = new byte[own.nextInt(40)];
        own.nextBytes(bytes);
        vcpu.write(at, bytes, 0, bytes.length);
      }
      case 2 -> vcpu.copy(world.somewhere(own), at, own.nextInt(2 * PAGE));
      case 3 -> vcpu.atomics().getAndAdd(at & -8, 8, own.nextLong());
      case 4 -> vcpu.putByte(at, (byte) own.nextInt());
      case 5 -> vcpu.putShort(at, (short) own.nextInt());
      case 6, 7 -> vcpu.putInt(at, own.nextInt());
      default -> vcpu.putLong(at, own.nextLong());
    }
  }

  /** The machine's own vCPU, to addresses that are always there. */
  private void machineWrites(Random own) {
    while (!world.stop) {
      long[] addresses = new long[1 + own.nextInt(20)];
      for (int i = 0; i < addresses.length; i++) {
        addresses[i] = address(own.nextInt(FIXED), 0) + own.nextInt(REGION / 8) * 8L;
      }
      world.survives(() -> world.machine.write(own.nextLong(), addresses));
      world.counts.add(Kind.WRITES_BY_THE_MACHINE, addresses.length);
      forgetInterrupt(own);
      if (oneIn(1_000, own)) {
        throw new StormWorld.Death();
      }
    }
  }

  private void deviceWrites(Random own) {
    while (!world.stop) {
      long at = world.somewhere(own);
      try {
        if (oneIn(3, own)) {
          asyncWrite(at, own);
          world.counts.count(Kind.ASYNCHRONOUS_WRITES);
        } else if (oneIn(20, own)) {
          world.memory.device().release(at, own.nextInt(2 * PAGE));
          world.counts.count(Kind.RELEASES);
        } else if (oneIn(50, own)) {
          world.squeezed(own, () -> world.memory.device().putLong(at, own.nextLong()));
          world.counts.count(Kind.WRITES_BY_DEVICES);
        } else {
          world.memory.device().putLong(at, own.nextLong());
          world.counts.count(Kind.WRITES_BY_DEVICES);
        }
      } catch (GuestAccessException e) {
        // No slot is there now.
      }
      forgetInterrupt(own);
    }
  }

  private void asyncWrite(long at, Random own) {
    world.asyncWrites.readLock().lock();
    try (AsyncWrite write = world.memory.device().beginWrite(at, 8)) {
      Thread.onSpinWait();
      write.target().set(ValueLayout.JAVA_LONG_UNALIGNED, 0, own.nextLong());
    } finally {
      world.asyncWrites.readLock().unlock();
    }
  }

  void replaceTheDead() {
    if (!machineThread.isAlive() && !world.stop) {
      world.threads.remove(machineThread);
      machineThread = world.start("machine", this::machineWrites);
    }
    for (Guest guest : List.copyOf(guests)) {
      if (!guest.thread.isAlive() && !world.stop) {
        guests.remove(guest);
        Vcpu vcpu = guest.vcpu.get();
        if (vcpu != null) {
          world.retry(vcpu::close);
        }
        startGuest();
      }
    }
  }
}
