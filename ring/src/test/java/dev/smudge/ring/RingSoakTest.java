package dev.smudge.ring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLongArray;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** Very many pushes, a vCPU and a collector: none is lost. The time limit is for the machine. */
@ParameterizedClass
@EnumSource(RingMemory.class)
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@Tag("long")
class RingSoakTest {
  private static final int ENTRIES = 4096;
  private static final int SHARE = Boolean.getBoolean("smudge.all") ? 1 : 10;
  private static final long PUSHES = 100_000_000 / SHARE;
  private static final int BATCH = 512;
  private static final int PAGES = 1 << 16;
  private static final int STORES = 10_000_000 / SHARE;

  private final DirtyRing ring;
  private final Crew crew = new Crew();
  private final AtomicBoolean stop = new AtomicBoolean();

  RingSoakTest(RingMemory memory) {
    this.ring = memory.ring(ENTRIES, 64);
  }

  @Test
  void push_tenMillionPagesOrMore_allAreHandedOutInOrder() throws Exception {
    crew.start(
        "vCPU",
        () -> {
          RingProducer producer = ring.producer();
          for (long page = 0; page < PUSHES; page++) {
            while (!producer.push((int) page, page)) {
              crew.idle();
            }
          }
          stop.set(true);
        });
    long[] next = {0};
    RingPageConsumer inOrder =
        (slotId, page) -> {
          if (page != next[0] || slotId != (int) page) {
            throw new AssertionError(slotId + ":" + page + " and not " + next[0]);
          }
          next[0]++;
        };
    crew.start("collector", () -> collect((slotId, word, mask) -> {}, inOrder));
    crew.join();
    assertEquals(PUSHES, next[0]);
  }

  /**
   * A version stands in for a page's content: it is stored, then the page is marked, and pushed if
   * it was not; the vCPU waits while the ring is soft full. The collector arms by the live bits.
   */
  @Test
  void push_setOfPagesThroughSoftFull_newestVersionOfEachIsSeen() throws Exception {
    AtomicLongArray live = new AtomicLongArray(PAGES / 64);
    AtomicLongArray versions = new AtomicLongArray(PAGES);
    long[] seen = new long[PAGES];
    crew.start(
        "vCPU",
        () -> {
          SplittableRandom random = new SplittableRandom(1);
          RingProducer producer = ring.producer();
          for (int i = 0; i < STORES; i++) {
            int page = random.nextInt(PAGES);
            versions.setOpaque(page, versions.getOpaque(page) + 1);
            long bit = 1L << page;
            if ((live.getAndAccumulate(page / 64, bit, (a, b) -> a | b) & bit) == 0) {
              assertTrue(producer.push(0, page), "soft full left no room");
            }
            while (producer.isSoftFull()) {
              crew.idle();
            }
          }
          stop.set(true);
        });
    crew.start(
        "collector",
        () ->
            collect(
                (slotId, word, mask) -> live.getAndAccumulate((int) word, ~mask, (a, b) -> a & b),
                (slotId, page) -> seen[(int) page] = versions.getOpaque((int) page)));
    crew.join();
    for (int page = 0; page < PAGES; page++) {
      assertEquals(versions.get(page), seen[page], "page " + page);
    }
  }

  private void collect(RingArmer armer, RingPageConsumer consumer) {
    HarvestedPages pages = ring.newHarvest();
    boolean last;
    do {
      last = stop.get();
      if ((last || ring.harvester().hasAtLeast(BATCH)) && ring.harvester().harvest(pages) > 0) {
        ring.resetter().reset(armer);
        pages.forEachPage(() -> {}, consumer);
        last = false;
      } else if (!last) {
        crew.idle();
      }
    } while (!last);
  }
}
