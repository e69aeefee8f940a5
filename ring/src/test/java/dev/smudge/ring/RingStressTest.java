package dev.smudge.ring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.smudge.testbase.Script;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Producer, harvester and resetters at once, with the numbers of the pushes as pages: each is armed
 * in order, and then handed out in order. The time limit is for threads that wait for ever.
 */
@ParameterizedClass
@EnumSource(RingMemory.class)
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class RingStressTest {
  private static final int PUSHES = 4_000_000;
  private static final int RESETS = 20_000;

  private final RingMemory memory;

  RingStressTest(RingMemory memory) {
    this.memory = memory;
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 64, 512, 4096})
  void bug08_producerHarvesterResetter_payloadAlwaysMatches(int entries) throws Exception {
    int pushes = Math.min(PUSHES, 40_000 * entries); // the threads wait for each entry
    new Run(memory.ring(entries, 0), pushes, 6, 0, new SplittableRandom(entries)).run(1);
  }

  /** The harvester dirties and harvests again what a reset gives back, as fast as it can. */
  @ParameterizedTest
  @ValueSource(ints = {2, 128, 1024})
  void bug09_peerDirtiesAndHarvestsAsFastAsItCan_eachResetReturnsAfterOneRound(int entries)
      throws Exception {
    TestRing test = new TestRing(memory.ring(entries, 0));
    Crew crew = new Crew();
    AtomicBoolean stop = new AtomicBoolean();
    AtomicLong given = new AtomicLong();
    crew.start(
        "peer",
        () -> {
          while (!stop.get()) {
            while (test.ring.producer().push(0, test.ring.producer().pushed())) {}
            if (test.harvest() == 0) {
              crew.idle();
            }
            if (test.pages.isReset()) {
              test.pages.forEachPage(() -> {}, (slotId, page) -> {});
            }
          }
        });
    crew.start(
        "resetter",
        () -> {
          for (int i = 0; i < RESETS; i++) {
            int count = test.ring.resetter().reset((slotId, word, mask) -> {});
            assertTrue(count <= entries, count + " in one reset");
            given.addAndGet(count);
            if (count == 0) {
              crew.idle();
            }
          }
          stop.set(true);
        });
    crew.join();
    given.addAndGet(test.ring.resetter().reset((slotId, word, mask) -> {}));
    assertEquals(test.ring.harvester().harvested(), given.get());
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 64, 256})
  void bug09_concurrentResets_serialiseAndFreeEachEntryOnce(int entries) throws Exception {
    int pushes = Math.min(PUSHES / 16, 10_000 * entries);
    new Run(memory.ring(entries, 0), pushes, 0, 0, new SplittableRandom(entries)).run(3);
  }

  /** Another resets, as the kernel does; here it is noted. */
  @ParameterizedTest
  @ValueSource(ints = {2, 64, 512})
  void noteResets_anotherResetsBesideTheHarvest_eachPageOnceInOrderAndArmed(int entries)
      throws Exception {
    assumeTrue(memory == RingMemory.DIRECT, "no other can reach the heap");
    RawRing raw = new RawRing(entries);
    int pushes = Math.min(PUSHES / 16, 10_000 * entries);
    new Run(DirtyRing.over(raw.buffer, 0), pushes, 0, 0, new SplittableRandom(entries)).run(raw);
  }

  @Test
  void ring_randomThreads_handOutEachPageOnceInOrderAndArmed() {
    Script.run(
        "threads " + memory,
        script -> {
          for (int i = 0; i < 10; i++) {
            int entries = 2 << script.random.nextInt(9);
            int wordShift = script.random.nextInt(8);
            int failures = script.random.nextInt(3) * 16;
            script.step(entries + " entries, slots " + wordShift + ", failures " + failures);
            Run run =
                new Run(
                    memory.ring(entries, script.random.nextInt(entries)),
                    Math.min(PUSHES / 40, 4_000 * entries),
                    wordShift,
                    failures,
                    script.random.split());
            try {
              run.run(3);
            } catch (InterruptedException e) {
              throw new AssertionError(e);
            }
          }
        });
  }

  private static final class Run {
    final Crew crew = new Crew();
    final DirtyRing ring;
    final int count;
    final int slotShift; // pages of 2^so many have one slot
    final int failures; // one in so many calls of the armer fails; 0: none
    final SplittableRandom forProducer;
    final SplittableRandom forHarvester;
    final SplittableRandom forArmer;

    final AtomicInteger arming = new AtomicInteger();
    final AtomicLong given = new AtomicLong();
    final AtomicLong armed = new AtomicLong(); // written plain, by the one reset that runs
    final AtomicBoolean done = new AtomicBoolean();

    Run(DirtyRing ring, int count, int slotShift, int failures, SplittableRandom random) {
      this.ring = ring;
      this.count = count;
      this.slotShift = slotShift;
      this.failures = failures;
      this.forProducer = random.split();
      this.forHarvester = random.split();
      this.forArmer = random.split();
    }

    int slotOf(long page) {
      return (int) ((page >>> slotShift) * 0x9E37_79B9);
    }

    void run(int resetters) throws InterruptedException {
      for (int i = 0; i < resetters; i++) {
        crew.start("resetter " + i, this::reset);
      }
      finish();
    }

    void run(RawRing resetByAnother) throws InterruptedException {
      crew.start("kernel", () -> resetRaw(resetByAnother));
      finish();
    }

    private void finish() throws InterruptedException {
      crew.start("producer", this::produce);
      crew.start("harvester", this::harvest);
      crew.join();
      assertEquals(count, ring.producer().pushed());
      assertEquals(count, ring.harvester().harvested());
      assertEquals(count, armed.get());
      if (failures == 0) {
        assertEquals(count, given.get());
      }
      assertEquals(0, ring.resetter().reset(this::arm));
    }

    void produce() {
      RingProducer producer = ring.producer();
      long next = 0;
      while (next < count) {
        long end = Math.min(count, next + 1 + forProducer.nextInt(2 * ring.entries()));
        while (next < end) {
          if (producer.push(slotOf(next), next)) {
            next++;
          } else {
            crew.idle();
          }
        }
        while (producer.isSoftFull() && forProducer.nextInt(4) > 0) {
          crew.idle();
        }
      }
    }

    /** Several sets at once: one is filled while others wait for their reset. */
    void harvest() {
      HarvestedPages[] sets = new HarvestedPages[3];
      for (int i = 0; i < sets.length; i++) {
        sets[i] = new HarvestedPages(1 + forHarvester.nextInt(2 * ring.entries()));
      }
      long[] read = {0};
      int filling = 0;
      int reading = 0;
      while (read[0] < count) {
        int found = ring.harvester().harvest(sets[filling]);
        assertTrue(found <= ring.entries(), found + " in one harvest");
        boolean moved = found > 0;
        if (sets[filling].size() > 0 && sets[(filling + 1) % sets.length].size() == 0) {
          filling = (filling + 1) % sets.length;
        }
        if (sets[reading].size() > 0 && sets[reading].isReset()) {
          sets[reading].forEachPage(
              () -> {},
              (slotId, page) -> {
                assertEquals(read[0]++, page);
                assertEquals(slotOf(page), slotId);
                assertTrue(page < armed.getPlain(), "handed out before it was armed");
              });
          reading = (reading + 1) % sets.length;
          moved = true;
        }
        if (!moved) {
          crew.idle();
        }
      }
      done.set(true);
    }

    void reset() {
      while (!done.get()) {
        int freed = 0;
        try {
          freed = ring.resetter().reset(this::arm);
        } catch (TestRing.ArmFailure e) {
          assertTrue(failures > 0, "thrown though none fails");
        }
        assertTrue(freed <= ring.entries(), freed + " in one reset");
        given.addAndGet(freed);
        if (freed == 0) {
          crew.idle();
        }
      }
    }

    /** As the kernel: arms, then clears the flags; sometimes it is noted after one entry. */
    void resetRaw(RawRing raw) {
      long next = 0;
      while (!done.get()) {
        long begin = next;
        long most = next + 1 + forArmer.nextInt(ring.entries());
        while (next < most && RingLayout.isHarvested(raw.flagsAcquire(next))) {
          next++;
          armed.setPlain(next);
          raw.flagsRelease(next - 1, 0);
        }
        int noted = ring.resetter().noteResets();
        given.addAndGet(noted);
        assertTrue(given.get() <= next, "noted " + given + " of " + next);
        if (next == begin && noted == 0) {
          crew.idle();
        }
      }
    }

    void arm(int slotId, long word, long mask) {
      assertEquals(1, arming.incrementAndGet(), "resets at once");
      try {
        if (failures > 0 && forArmer.nextInt(failures) == 0) {
          throw new TestRing.ArmFailure();
        }
        long first = 64 * word + Long.numberOfTrailingZeros(mask);
        long to = armed.getPlain();
        boolean again = failures > 0 && first >= to - 64 && first < to;
        assertTrue(first == to || again, first + " is armed after " + to);
        long page = first;
        for (long rest = mask >>> (first & 63); rest != 0; rest >>>= 1) {
          assertTrue((rest & 1) != 0, page + " is left out");
          assertEquals(slotOf(page), slotId, "slot of " + page);
          page++;
        }
        armed.setPlain(Math.max(to, page));
      } finally {
        arming.decrementAndGet();
      }
    }
  }
}
