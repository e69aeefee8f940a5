package dev.smudge.core;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.RemovedSlot;
import dev.smudge.sync.VcpuPause;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * Slots that change at random under writers. Every slot is over a part of one segment, and each
 * client has a copy of it: of the pages that it was handed, and of those that the remover was. At
 * check points, where nobody writes, a copy that differs is a lost write.
 */
final class SlotChurn implements AutoCloseable {
  private static final int PAGE = 256;
  private static final int REGIONS = 8;
  private static final int PAGES = 16;
  private static final int REGION = PAGES * PAGE;
  private static final long WINDOW = 1L << 20;

  private final GuestMemory memory;
  private final Random random;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment all = arena.allocate(REGIONS * REGION, 8);
  private final List<DirtyClient<GuestSlot>> clients = new ArrayList<>();
  private final List<byte[]> copies = new ArrayList<>();
  private final List<RemovedSlot<GuestSlot>> handles = new ArrayList<>();
  private final Region[] regions = new Region[REGIONS];
  private final List<FutureTask<Void>> writers = new ArrayList<>();
  private final ReentrantReadWriteLock devices = new ReentrantReadWriteLock();
  private volatile boolean stop;
  final AtomicLong writes = new AtomicLong();
  final AtomicLong misses = new AtomicLong();
  long changes;

  /** One part of the segment, and the slots over it: none, one, or two. */
  private static final class Region {
    volatile int window; // at which of two addresses
    int pieces;
    long split; // bytes in the first
    long size; // bytes of the whole
  }

  SlotChurn(GuestMemory memory, Random random, int vcpus) {
    this.memory = memory;
    this.random = random;
    for (int r = 0; r < REGIONS; r++) {
      regions[r] = new Region();
      add(r);
    }
    for (int c = 0; c < 2; c++) {
      clients.add(memory.client("client " + c, InitialView.NONE_DIRTY));
      copies.add(new byte[REGIONS * REGION]);
    }
    for (int v = 0; v < vcpus; v++) {
      long seed = random.nextLong();
      writers.add(Threads.start("vcpu", index -> write(new Random(seed)), v));
    }
    long seed = random.nextLong();
    writers.add(Threads.start("device", index -> dma(new Random(seed)), 0));
  }

  private long address(int region, int window) {
    return region * WINDOW + window * WINDOW / 2;
  }

  private MemorySegment ram(int region) {
    return all.asSlice((long) region * REGION, REGION);
  }

  private void write(Random own) {
    Vcpu vcpu = memory.addVcpu();
    while (!stop) {
      int r = own.nextInt(REGIONS);
      long base = address(r, regions[r].window);
      for (int i = 0; i < 64; i++) {
        try {
          long at = base + own.nextInt(REGION);
          if (own.nextInt(8) == 0) {
            vcpu.fill(at, own.nextInt(300), (byte) own.nextInt());
          } else {
            vcpu.putByte(at, (byte) own.nextInt());
          }
          writes.lazySet(writes.get() + 1);
        } catch (GuestAccessException e) {
          misses.lazySet(misses.get() + 1);
        }
      }
      vcpu.safepoint();
      if (own.nextInt(16) == 0) { // it waits for a device now and then, and leaves others room
        vcpu.offline();
        LockSupport.parkNanos(own.nextInt(200_000));
      }
    }
    vcpu.close();
  }

  private void dma(Random own) {
    while (!stop) {
      int r = own.nextInt(REGIONS);
      long at = address(r, regions[r].window) + own.nextInt(REGION - 8);
      devices.readLock().lock();
      try {
        if (own.nextInt(3) == 0) {
          try (AsyncWrite token = memory.device().beginWrite(at, 8)) {
            Thread.onSpinWait();
            token.target().set(ValueLayout.JAVA_LONG_UNALIGNED, 0, own.nextLong());
          }
        } else {
          memory.device().putLong(at, own.nextLong());
        }
      } catch (GuestAccessException e) {
        misses.lazySet(misses.get() + 1);
      } finally {
        devices.readLock().unlock();
      }
    }
  }

  private void add(int r) {
    Region region = regions[r];
    try (SlotTransaction change = memory.beginTransaction()) {
      change.add(2 * r, address(r, region.window), ram(r), PAGE).commit();
    }
    region.pieces = 1;
    region.size = REGION;
  }

  /** One random change of one region, in a transaction, a batch perhaps open across it. */
  void change() {
    changes++;
    DirtyBatch<GuestSlot> open = random.nextInt(3) == 0 ? clients.getFirst().take() : null;
    int r = random.nextInt(REGIONS);
    Region region = regions[r];
    if (region.pieces == 0) {
      add(r);
    } else {
      try (SlotTransaction change = memory.beginTransaction()) {
        steps(r, region, change);
        change.commit().forEach(this::collect);
      }
    }
    if (open != null) {
      if (random.nextBoolean()) {
        copy(0, open);
      }
      open.close(); // else it is given back
    } else if (random.nextInt(4) == 0) {
      take(0);
    }
  }

  private void steps(int r, Region region, SlotTransaction change) {
    int what = random.nextInt(6);
    int first = 2 * r;
    if (what == 0) {
      change.remove(first);
      if (region.pieces == 2) {
        change.remove(first + 1);
      }
      region.pieces = 0;
    } else if (what <= 2) {
      int to = 1 - region.window;
      change.move(first, address(r, to));
      if (region.pieces == 2) {
        change.move(first + 1, address(r, to) + region.split);
      }
      region.window = to;
    } else if (region.pieces == 2) {
      change.merge(first, first + 1);
      region.pieces = 1;
    } else if (region.size < REGION) {
      change.replaceRam(first, ram(r));
      region.size = REGION;
    } else if (what == 3) {
      region.size = PAGE * (1L + random.nextInt(PAGES - 1));
      change.resize(first, region.size);
    } else {
      region.split = PAGE * (1L + random.nextInt(PAGES - 1));
      change.split(first, region.split, first + 1);
      region.pieces = 2;
    }
  }

  private void collect(RemovedSlot<GuestSlot> removed) {
    handles.add(removed);
    copyLost(removed);
  }

  private void copyLost(RemovedSlot<GuestSlot> removed) {
    removed.forEachRun(
        (slot, first, count) -> copies.forEach(copy -> copyTo(copy, slot.pages(first, count))));
  }

  private void copyTo(byte[] copy, MemorySegment content) {
    int at = (int) (content.address() - all.address());
    MemorySegment.copy(content, ValueLayout.JAVA_BYTE, 0, copy, at, (int) content.byteSize());
  }

  private void take(int client) {
    try (DirtyBatch<GuestSlot> batch = clients.get(client).take()) {
      copy(client, batch);
    }
  }

  private void copy(int client, DirtyBatch<GuestSlot> batch) {
    batch.forEachRun((slot, first, count) -> copyTo(copies.get(client), slot.pages(first, count)));
    batch.commit();
  }

  /**
   * Changes, and looks every now and then. Returns how many bytes were missing at the first loss.
   */
  long run(int count, int checkEvery) {
    for (int i = 0; i < count; i++) {
      change();
      if (i % checkEvery == 0) {
        long missing = check();
        if (missing != 0) {
          return missing;
        }
      }
    }
    return check();
  }

  /** Where nobody writes: how many bytes are missing. */
  private long check() {
    devices.writeLock().lock();
    VcpuPause pause = memory.log().pause();
    try {
      for (RemovedSlot<GuestSlot> removed : handles) {
        copyLost(removed); // again: a batch has given back, or a device's write has landed late
        removed.close();
      }
      handles.clear();
      take(0);
      take(1);
      long missing = 0;
      for (byte[] copy : copies) {
        for (int i = 0; i < copy.length; i++) {
          missing += copy[i] == all.get(ValueLayout.JAVA_BYTE, i) ? 0 : 1;
        }
      }
      return missing;
    } finally {
      pause.close();
      devices.writeLock().unlock();
    }
  }

  @Override
  public void close() {
    stop = true;
    Threads.joinAll(writers);
    memory.close();
    arena.close();
  }
}
