package dev.smudge.ring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.testbase.Script;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A ring whose bytes another process forges as it likes, against a model that reads the same bytes.
 * Pages are lost then; but each call ends, takes one round at most, and hands out nothing but what
 * stood in the ring. The time limit is for calls that do not end.
 */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class RingForgedTest {
  private static final int STEPS = 20_000;
  private static final int[] FLAGS = {0, 1, 2, 3, 4, 5, 0x8000_0001, 0x8000_0002, -1, -2, -3};

  @ParameterizedTest
  @ValueSource(ints = {2, 8, 64, 256})
  void ring_entriesForged_isBoundedAndHandsOutWhatStandsThere(int entries) {
    Script.run("forged " + entries, script -> new Run(entries, script).run());
  }

  private static final class Run {
    final Script script;
    final SplittableRandom random;
    final int entries;
    final RawRing raw;
    final TestRing test;
    final HarvestedPages pages;
    final int capacity;
    final List<Page> harvested = new ArrayList<>();
    long pushedCount;
    long harvestedCount;
    long resetCount;

    Run(int entries, Script script) {
      this.script = script;
      this.random = script.random;
      this.entries = entries;
      this.raw = new RawRing(entries);
      this.test = new TestRing(DirtyRing.over(raw.buffer, 1));
      this.capacity = 1 + random.nextInt(2 * entries);
      this.pages = new HarvestedPages(capacity);
    }

    void run() {
      for (int i = 0; i < STEPS; i++) {
        switch (random.nextInt(8)) {
          case 0 -> forge(random.nextInt(entries), FLAGS[random.nextInt(FLAGS.length)]);
          case 1 -> forgeMany(FLAGS[random.nextInt(FLAGS.length)]);
          case 2, 3 -> push(random.nextInt(entries + 2));
          case 4, 5 -> harvest();
          case 6 -> reset();
          default -> noteResets();
        }
        read();
      }
    }

    void forge(int entry, int flags) {
      script.step("forge " + entry + ": " + flags);
      raw.flags(entry, flags);
      if (random.nextInt(4) == 0) {
        raw.put(entry, flags, new Page(random.nextInt(), random.nextLong()));
      }
    }

    void forgeMany(int flags) {
      if (random.nextInt(4) == 0) {
        for (int i = 0; i < entries; i++) {
          forge(i, flags);
        }
      }
    }

    void push(int count) {
      script.step("push " + count);
      for (int i = 0; i < count; i++) {
        Page page = new Page(random.nextInt(), random.nextLong());
        boolean free = pushedCount - resetCount < entries;
        assertEquals(free, test.push(page));
        if (free) {
          assertEquals(RingLayout.DIRTY, raw.flags(pushedCount));
          assertEquals(page, raw.page(pushedCount));
          pushedCount++;
        }
      }
    }

    void harvest() {
      script.step("harvest");
      List<Page> expected = new ArrayList<>();
      int most = Math.min(entries, capacity - harvested.size());
      while (expected.size() < most
          && RingLayout.isDirty(raw.flags(harvestedCount + expected.size()))) {
        expected.add(raw.page(harvestedCount + expected.size()));
      }
      assertEquals(expected.size(), test.ring.harvester().harvest(pages));
      harvested.addAll(expected);
      harvestedCount += expected.size();
    }

    void reset() {
      script.step("reset");
      List<Page> expected = new ArrayList<>();
      while (expected.size() < entries
          && RingLayout.isHarvested(raw.flags(resetCount + expected.size()))) {
        expected.add(raw.page(resetCount + expected.size()));
      }
      test.armed.clear();
      assertEquals(expected.size(), test.reset());
      assertEquals(Armed.model(expected), Armed.merged(test.armed));
      for (int i = 0; i < expected.size(); i++) {
        assertEquals(0, raw.flags(resetCount + i));
      }
      resetCount += expected.size();
    }

    void noteResets() {
      script.step("noteResets");
      int expected = 0;
      while (resetCount + expected < harvestedCount
          && !RingLayout.isHarvested(raw.flags(resetCount + expected))) {
        expected++;
      }
      assertEquals(expected, test.ring.resetter().noteResets());
      resetCount += expected;
    }

    void read() {
      assertEquals(harvested.size(), pages.size());
      if (pages.isReset() && random.nextBoolean()) {
        script.step("read");
        assertEquals(harvested, TestRing.read(pages));
        harvested.clear();
      }
      assertFalse(!harvested.isEmpty() && resetCount == 0 && pages.isReset());
      assertTrue(harvested.size() <= capacity);
    }
  }
}
