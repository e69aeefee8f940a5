package dev.smudge.testkit;

import static dev.smudge.testkit.StormWorld.FIXED;
import static dev.smudge.testkit.StormWorld.PAGE;
import static dev.smudge.testkit.StormWorld.PAGES;
import static dev.smudge.testkit.StormWorld.REGION;
import static dev.smudge.testkit.StormWorld.REGIONS;
import static dev.smudge.testkit.StormWorld.address;
import static dev.smudge.testkit.StormWorld.oneIn;

import dev.smudge.core.GuestSlot;
import dev.smudge.core.SlotTransaction;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.RemovedSlot;
import dev.smudge.testkit.StormCounts.Kind;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Random;

/** Who changes the slots in a storm, and copies what is lost with a slot. By one thread. */
final class StormChanges {
  /** A region's slots: none, one, or two. */
  private record Region(int window, int pieces, long split, long size) {}

  private final StormWorld world;
  private final Random random;
  private final Region[] regions = new Region[REGIONS];
  private final List<RemovedSlot<GuestSlot>> handles = new ArrayList<>();
  private final Deque<String> history = new ArrayDeque<>();

  StormChanges(StormWorld world) {
    this.world = world;
    this.random = world.random;
    for (int r = 0; r < REGIONS; r++) {
      regions[r] = new Region(0, 0, 0, 0);
      int region = r;
      world.retry(() -> add(region));
    }
  }

  private MemorySegment ram(int region, long size) {
    return world.all.asSlice((long) region * REGION, size);
  }

  private void add(int r) {
    Region region = regions[r];
    Region next = new Region(region.window, 1, 0, REGION);
    try (SlotTransaction change = world.memory.beginTransaction()) {
      change.add(2 * r, address(r, region.window), ram(r, REGION), PAGE);
      commit(r, next, change);
    }
  }

  /** One random change of one region, a batch of the first client perhaps open across it. */
  void change(StormClients clients) {
    int r = random.nextInt(REGIONS);
    DirtyBatch<GuestSlot> open = oneIn(3, random) ? clients.first().take() : null;
    try {
      if (regions[r].pieces == 0) {
        add(r);
      } else {
        try (SlotTransaction change = world.memory.beginTransaction()) {
          commit(r, steps(r, regions[r], change), change);
        }
      }
    } finally {
      if (open != null && random.nextBoolean()) {
        clients.copy(0, open, random);
      } else if (open != null) {
        open.close(); // is given back
      }
    }
    world.counts.count(Kind.CHANGES_OF_SLOTS);
  }

  private void commit(int r, Region next, SlotTransaction change) {
    List<GuestSlot> before = world.memory.slots();
    try {
      change.commit();
      note(r, next, "whole");
    } catch (RuntimeException | Error e) {
      note(r, next, e.toString() + (before.equals(world.memory.slots()) ? "" : ", made"));
      throw e;
    } finally {
      if (!before.equals(world.memory.slots())) { // it was made, whatever came after
        regions[r] = next;
        world.windows.set(r, next.window);
        change.removed().forEach(handles::add);
      }
    }
  }

  private void note(int r, Region next, String how) {
    history.add(r + " -> " + next + " " + how);
    if (history.size() > 12) {
      history.remove();
    }
  }

  private Region steps(int r, Region region, SlotTransaction change) {
    int first = 2 * r;
    boolean fixed = r < FIXED;
    int what = fixed ? 5 : random.nextInt(6);
    if (what == 0) {
      change.remove(first);
      if (region.pieces == 2) {
        change.remove(first + 1);
      }
      return new Region(region.window, 0, 0, 0);
    }
    if (what <= 2) {
      int to = 1 - region.window;
      change.move(first, address(r, to));
      if (region.pieces == 2) {
        change.move(first + 1, address(r, to) + region.split);
      }
      return new Region(to, region.pieces, region.split, region.size);
    }
    if (region.pieces == 2) {
      change.merge(first, first + 1);
      return new Region(region.window, 1, 0, region.size);
    }
    if (region.size < REGION) {
      change.replaceRam(first, ram(r, REGION));
      return new Region(region.window, 1, 0, REGION);
    }
    long part = PAGE * (1L + random.nextInt(PAGES - 1));
    if (what == 3) {
      change.resize(first, part);
      return new Region(region.window, 1, 0, part);
    }
    change.split(first, part, first + 1);
    return new Region(region.window, 2, part, region.size);
  }

  private void copyLost(RemovedSlot<GuestSlot> removed) {
    removed.forEachRun((slot, first, count) -> {
      world.copyTo(world.copies[0], slot.pages(first, count));
      world.copyTo(world.copies[1], slot.pages(first, count));
    });
  }

  /** What was lost with slots goes to the copies. */
  void copyLost() {
    for (RemovedSlot<GuestSlot> removed : handles) {
      world.retry(() -> copyLost(removed));
      removed.close();
    }
    handles.clear();
  }

  /** A region, and its last changes, for a message. */
  String describe(int region) {
    return regions[region] + ", last changes " + history;
  }
}
