package dev.smudge.testkit;

import static dev.smudge.testkit.StormWorld.FIXED;
import static dev.smudge.testkit.StormWorld.PAGE;
import static dev.smudge.testkit.StormWorld.REGION;
import static dev.smudge.testkit.StormWorld.WINDOW;
import static dev.smudge.testkit.StormWorld.address;
import static dev.smudge.testkit.StormWorld.forgetInterrupt;
import static dev.smudge.testkit.StormWorld.oneIn;

import dev.smudge.core.GuestAccessException;
import dev.smudge.core.GuestSlot;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.testkit.StormCounts.Kind;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Who takes in a storm: two clients, each with a copy of all RAM, of what it was handed. The second
 * has a thread of its own.
 */
final class StormClients {
  private final StormWorld world;
  private final List<DirtyClient<GuestSlot>> clients = new ArrayList<>();

  StormClients(StormWorld world) {
    this.world = world;
    for (int c = 0; c < world.copies.length; c++) {
      String name = "client " + c;
      world.retry(() -> clients.add(world.memory.client(name, InitialView.NONE_DIRTY)));
    }
  }

  /** The second client begins. */
  void start() {
    world.start("second client", this::secondClient);
  }

  DirtyClient<GuestSlot> first() {
    return clients.getFirst();
  }

  private void secondClient(Random own) {
    DirtyClient<GuestSlot> client = clients.get(1);
    while (!world.stop) {
      world.second.lock();
      try {
        world.survives(() -> useSecond(client, own));
      } catch (IllegalArgumentException | GuestAccessException e) {
        // The slot was changed meanwhile.
      } finally {
        world.second.unlock();
      }
      forgetInterrupt(own);
      LockSupport.parkNanos(own.nextInt(300_000));
    }
  }

  private void useSecond(DirtyClient<GuestSlot> client, Random own) {
    GuestSlot slot = world.memory.slots().get(own.nextInt(FIXED));
    long first = own.nextLong(slot.pageCount());
    long count = 1 + own.nextLong(slot.pageCount() - first);
    Kind kind = Kind.TAKES;
    switch (own.nextInt(8)) {
      case 0 -> copy(1, client.takeAtMost(1 + own.nextInt(20)), own);
      case 1 -> copy(1, client.takeRange(slot, first, count), own);
      case 2 -> {
        kind = Kind.DISCARDS;
        client.discard(slot, first, count);
        world.copyTo(world.copies[1], slot.pages(first, count)); // what it holds from then on
      }
      case 3 -> {
        kind = Kind.WRITES_BY_A_CLIENT;
        byte[] bytes = new byte[1 + own.nextInt(2 * PAGE)];
        own.nextBytes(bytes);
        long at = slot.guestAddress() + first * (long) PAGE;
        world.memory.device().writeAs(client, at, MemorySegment.ofArray(bytes));
        world.copyTo(world.copies[1], memoryAt(at, bytes.length));
      }
      case 4 -> {
        kind = Kind.SYNCS;
        world.memory.log().sync();
      }
      case 5 -> {
        AtomicReference<@Nullable DirtyBatch<GuestSlot>> taken = new AtomicReference<>();
        world.squeezed(own, () -> taken.set(client.take()));
        DirtyBatch<GuestSlot> batch = taken.get();
        if (batch != null) {
          world.squeezed(own, batch::close);
          batch.close(); // again, if the first was cut short
        }
      }
      default -> copy(1, client.take(), own);
    }
    world.counts.count(kind);
  }

  /** A part of a region that is always there. */
  private MemorySegment memoryAt(long address, long length) {
    int region = (int) ((address - GuestMachine.BASE) / WINDOW);
    long offset = address - address(region, 0);
    return world.all.asSlice(region * (long) REGION + offset, length);
  }

  /** Copies what a batch has, in one go or in parts; fails in the middle now and then. */
  void copy(int client, DirtyBatch<GuestSlot> batch, Random own) {
    long maxPages = own.nextLong(1, 31);
    boolean fails = oneIn(20, own);
    boolean inParts = own.nextBoolean();
    try (batch) {
      batch.forEachRun(
          maxPages,
          (slot, first, count) -> {
            if (fails && oneIn(3, own)) {
              throw new StormTracker.Fault();
            }
            world.copyTo(world.copies[client], slot.pages(first, count));
            if (inParts) {
              batch.acknowledge(slot, first, count);
            }
          });
      if (!inParts) {
        batch.commit();
      }
    }
  }

  /** Each takes all that it has not yet. */
  void takeAll() {
    for (int c = 0; c < world.copies.length; c++) {
      int client = c;
      world.retry(() -> {
        try (DirtyBatch<GuestSlot> batch = clients.get(client).take()) {
          batch.forEachRun(
              (slot, first, count) -> world.copyTo(world.copies[client], slot.pages(first, count)));
          batch.commit();
        }
      });
    }
  }
}
