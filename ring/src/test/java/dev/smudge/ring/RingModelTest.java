package dev.smudge.ring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import dev.smudge.testbase.Script;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A ring against two queues, one thread, with armers, barriers and consumers that throw. */
@ParameterizedClass
@EnumSource(RingMemory.class)
class RingModelTest {
  private static final int STEPS = 2_000;

  private final RingMemory memory;

  RingModelTest(RingMemory memory) {
    this.memory = memory;
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 4, 32, 64, 128, 512})
  void ring_randomScript_equalsModel(int entries) {
    Script.run(
        "DirtyRing " + memory + " " + entries,
        script -> {
          for (int reserve : new int[] {0, 1, entries - 1}) {
            new Run(memory.ring(entries, reserve), script).run();
          }
        });
  }

  /** Some of the pages that were harvested. */
  private static final class Batch {
    final HarvestedPages pages;
    final int capacity;
    final ArrayDeque<Page> model = new ArrayDeque<>();
    int used; // of the room, since it was empty
    long end;

    Batch(int capacity) {
      this.capacity = capacity;
      this.pages = new HarvestedPages(capacity);
    }
  }

  private static final class Run {
    final Script script;
    final SplittableRandom random;
    final TestRing test;
    final int entries;
    final ArrayDeque<Page> dirty = new ArrayDeque<>();
    final ArrayDeque<Page> harvested = new ArrayDeque<>();
    final List<Batch> batches;
    long pushedCount;
    long harvestedCount;
    long resetCount;
    Page last = new Page(0, 0);

    Run(DirtyRing ring, Script script) {
      this.script = script;
      this.random = script.random;
      this.test = new TestRing(ring);
      this.entries = ring.entries();
      this.batches =
          List.of(new Batch(1), new Batch(7), new Batch(entries), new Batch(3 * entries));
      script.step(ring.toString());
    }

    void run() {
      for (int i = 0; i < STEPS; i++) {
        switch (random.nextInt(9)) {
          case 0, 1, 2 -> push(1 + random.nextInt(random.nextBoolean() ? 3 : entries + 2));
          case 3, 4 -> harvest(random.nextInt(batches.size()));
          case 5 -> reset();
          case 6 -> resetCutShort(random.nextInt(entries + 1));
          default -> read(random.nextInt(batches.size()));
        }
        check();
      }
    }

    Page next() {
      long[] far = {-65, -64, -63, 63, 64, 65};
      long[] edges = {0, -1, 0xffff_ffff_ffff_ffc1L, Long.MAX_VALUE, Long.MIN_VALUE};
      int[] slotIds = {0, 1, 0xffff, -1};
      long page =
          switch (random.nextInt(7)) {
            case 0, 1, 2 -> last.pageIndex() + 1;
            case 3 -> last.pageIndex() - 1;
            case 4 -> last.pageIndex() + far[random.nextInt(far.length)];
            case 5 -> edges[random.nextInt(edges.length)];
            default -> random.nextLong();
          };
      int slotId = random.nextInt(5) > 0 ? last.slotId() : slotIds[random.nextInt(slotIds.length)];
      last = new Page(slotId, page);
      return last;
    }

    int inUse() {
      return dirty.size() + harvested.size();
    }

    void push(int count) {
      for (int i = 0; i < count; i++) {
        Page page = next();
        script.step("push " + page);
        boolean free = inUse() < entries;
        assertEquals(free, test.push(page), "free");
        if (free) {
          dirty.add(page);
          pushedCount++;
        }
      }
    }

    void harvest(int number) {
      Batch batch = batches.get(number);
      script.step("harvest into " + number);
      int waiting = dirty.size();
      int count = test.ring.harvester().harvest(batch.pages);
      assertTrue(count >= Math.min(waiting, batch.capacity - batch.used), "less than there is");
      assertTrue(count <= Math.min(waiting, batch.capacity - batch.model.size()), "too many");
      for (int i = 0; i < count; i++) {
        Page page = dirty.remove();
        harvested.add(page);
        batch.model.add(page);
      }
      harvestedCount += count;
      batch.used += count;
      if (count > 0) {
        batch.end = harvestedCount;
      }
    }

    void reset() {
      script.step("reset");
      test.armed.clear();
      assertEquals(harvested.size(), test.reset());
      assertEquals(Armed.model(harvested), Armed.merged(test.armed));
      resetCount += harvested.size();
      harvested.clear();
    }

    /** What it has given back shows in the next, or in the room that the producer has. */
    void resetCutShort(int calls) {
      if (Armed.model(harvested).size() <= calls) {
        return;
      }
      script.step("reset that fails after " + calls + " calls");
      test.armed.clear();
      test.failAfter(calls);
      assertThrows(TestRing.ArmFailure.class, test::reset);
      test.failAfter(Integer.MAX_VALUE);
      List<Armed> armed = List.copyOf(test.armed);
      int given = random.nextBoolean() ? givenBackByFilling() : givenBackByResetting();
      for (int i = 0; i < given; i++) {
        Page page = harvested.remove();
        assertTrue(armed.stream().anyMatch(call -> call.covers(page)), page + " is not armed");
      }
      resetCount += given;
      if (test.armed.size() != armed.size()) {
        resetCount += harvested.size();
        harvested.clear();
      }
    }

    private int givenBackByFilling() {
      int room = entries - inUse();
      List<Page> more = new ArrayList<>();
      for (Page page = next(); test.push(page); page = next()) {
        script.step("push " + page);
        more.add(page);
      }
      dirty.addAll(more);
      pushedCount += more.size();
      assertTrue(more.size() >= room && more.size() - room < harvested.size(), "given back");
      return more.size() - room;
    }

    private int givenBackByResetting() {
      script.step("reset");
      int calls = test.armed.size();
      int rest = test.reset();
      int given = harvested.size() - rest;
      assertTrue(rest > 0 && given >= 0, "given back");
      assertEquals(
          Armed.model(List.copyOf(harvested).subList(given, harvested.size())),
          Armed.merged(test.armed.subList(calls, test.armed.size())));
      return given;
    }

    void read(int number) {
      Batch batch = batches.get(number);
      int fails = random.nextInt(4) == 0 ? random.nextInt(entries) : Integer.MAX_VALUE;
      boolean barrierFails = random.nextInt(8) == 0;
      script.step("read " + number + (barrierFails ? ", no barrier" : ", failing after " + fails));
      boolean[] barrier = {false};
      int[] count = {0};
      try {
        batch.pages.forEachPage(
            () -> {
              if (barrierFails) {
                throw new UnsupportedOperationException();
              }
              barrier[0] = true;
            },
            (slotId, page) -> {
              assertTrue(barrier[0], "the barrier comes first");
              assertEquals(batch.model.peek(), new Page(slotId, page));
              if (count[0]++ == fails) {
                throw new UnsupportedOperationException();
              }
              batch.model.remove();
            });
        assertTrue(batch.model.isEmpty(), "not all came");
        batch.used = 0;
      } catch (IllegalStateException e) {
        assertTrue(resetCount < batch.end && !batch.model.isEmpty(), e.getMessage());
        assertTrue(!barrier[0] && count[0] == 0, "refused too late");
      } catch (UnsupportedOperationException e) {
        if (!barrierFails && fails == Integer.MAX_VALUE) {
          fail(e);
        }
      }
    }

    void check() {
      DirtyRing ring = test.ring;
      assertEquals(pushedCount, ring.producer().pushed());
      assertEquals(harvestedCount, ring.harvester().harvested());
      assertEquals(inUse() >= entries - ring.reserve(), ring.producer().isSoftFull(), "soft full");
      int count = 1 + random.nextInt(entries);
      assertEquals(dirty.size() >= count, ring.harvester().hasAtLeast(count), "has " + count);
      for (Batch batch : batches) {
        assertEquals(batch.model.size(), batch.pages.size());
        assertEquals(
            batch.model.isEmpty() || resetCount >= batch.end, batch.pages.isReset(), "is reset");
      }
    }
  }
}
