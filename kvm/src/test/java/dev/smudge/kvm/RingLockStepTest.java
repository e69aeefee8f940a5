package dev.smudge.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.ring.DirtyRing;
import dev.smudge.ring.HarvestedPages;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * A random script of writes, partial harvests, and resets, on a ring of ours and on the kernel's:
 * the same entries in the same order, and the same counts. The rings do not get full: what happens
 * then is not the same by nature.
 */
@RequiresKvm
@Timeout(120)
class RingLockStepTest {
  private static final int ENTRIES = 256;
  private static final int PAGES = 300;
  private static final int MOST_WAITING = 150;
  private static final int STEPS = Integer.getInteger("smudge.lockstep.steps", 250);
  private static final int SEEDS = Integer.getInteger("smudge.lockstep.seeds", 2);

  /** Ours: a bit a page says whether it is armed. */
  private static final class Software {
    final DirtyRing ring = DirtyRing.allocate(ENTRIES, 0);
    final BitSet armed = new BitSet();

    void write(int page) {
      if (armed.get(page)) {
        armed.clear(page);
        ring.producer().push(KvmGuest.SLOT, page);
      }
    }

    int reset() {
      return ring.resetter()
          .reset((slot, word, mask) -> {
            for (long rest = mask; rest != 0; rest &= rest - 1) {
              armed.set((int) (word * 64) + Long.numberOfTrailingZeros(rest));
            }
          });
    }
  }

  @Test
  void anyScript_ourRingAndTheKernels_areTheSame() {
    long first = Long.getLong("smudge.lockstep.seed", System.nanoTime());
    for (long seed = first; seed < first + SEEDS; seed++) {
      try (KvmGuest guest = new KvmGuest(PAGES, vm -> vm.enableDirtyRing(ENTRIES)).log()) {
        run(guest, new Random(seed), "seed " + seed + ", step ");
      }
    }
  }

  private static void run(KvmGuest guest, Random random, String where) {
    Software ours = new Software();
    ours.armed.set(0, PAGES); // as the kernel, when logging begins
    DirtyRing kernels = guest.vcpu.ring();
    HarvestedPages our = new HarvestedPages(ENTRIES);
    HarvestedPages their = new HarvestedPages(ENTRIES);
    for (int step = 0; step < STEPS; step++) {
      String at = where + step;
      switch (random.nextInt(4)) {
        case 0, 1 -> {
          int[] pages = random.ints(random.nextInt(1, 20), 0, PAGES).toArray();
          if (PAGES - ours.armed.cardinality() + pages.length < MOST_WAITING) {
            guest.write(step, pages);
            for (int page : pages) {
              ours.write(page);
            }
          }
        }
        case 2 -> {
          if (our.size() == 0) { // as many as there is room for
            int room = random.nextInt(1, 60);
            our = new HarvestedPages(room);
            their = new HarvestedPages(room);
          }
          assertEquals(ours.ring.harvester().harvest(our), kernels.harvester().harvest(their), at);
        }
        default -> {
          int reset = ours.reset();
          assertEquals(reset, guest.vm.resetDirtyRings(), at);
          assertEquals(reset, kernels.resetter().noteResets(), at);
          assertEquals(our.isReset(), their.isReset(), at);
          assertEquals(pages(our), pages(their), at);
        }
      }
    }
  }

  private static List<Long> pages(HarvestedPages harvested) {
    List<Long> pages = new ArrayList<>();
    harvested.forEachPage(() -> {}, (slot, page) -> pages.add(page));
    return pages;
  }
}
