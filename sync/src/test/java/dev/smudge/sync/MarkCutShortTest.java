package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.internal.software.HalfDoneMark;
import dev.smudge.testbase.StackSqueeze;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Marks that are cut short by an error at any point. Such a mark may have set a live bit that it
 * has not reported; whoever finds that bit set relies on it, and has to be found nonetheless.
 */
@ParameterizedClass
@EnumSource(Mode.class)
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@Tag("long")
class MarkCutShortTest {
  private static final int PAGE = 4096;

  /** From the last page of one word to the first of another. */
  private static final long FIRST = 62;

  private static final int COUNT = 70;
  private static final long ELSEWHERE = 900;

  private final Mode mode;
  private final DirtyLog log;
  private final LogSlot slot;
  private final LogVcpu cut;
  private final LogVcpu other;
  private final DirtyClient<LogSlot> client;

  MarkCutShortTest(Mode mode) {
    this.mode = mode;
    this.log = mode.builder().errorHandler(e -> {}).build();
    this.slot = log.addSlot(0, 1_000, PAGE);
    this.cut = log.addVcpu();
    this.other = log.addVcpu();
    this.client = log.client("c", InitialView.NONE_DIRTY);
  }

  private void markCut() {
    cut.mark(slot, FIRST * PAGE, COUNT * PAGE);
  }

  private static Set<Long> allOf(long first, long count) {
    Set<Long> pages = new TreeSet<>();
    for (long page = first; page < first + count; page++) {
      pages.add(page);
    }
    return pages;
  }

  private void othersMark() {
    other.online();
    for (long page = FIRST; page < FIRST + COUNT; page++) {
      other.mark(slot, page * PAGE, 1);
    }
    other.offline();
  }

  @Test
  void mark_cutShort_marksOfOthersThatReliedOnItAreFound() {
    int errors =
        StackSqueeze.squeeze(
            () -> cut.online(),
            this::markCut,
            e -> {
              cut.offline();
              othersMark();
              assertTrue(Dirty.take(client).containsAll(allOf(FIRST, COUNT)), "the first take");
            });
    assertTrue(errors >= StackSqueeze.PADS, errors + " errors");
    assertEquals(Set.of(), Dirty.take(client));
  }

  @Test
  void mark_cutShortAndThenAnotherMark_marksOfOthersThatReliedOnTheFirstAreFound() {
    int errors =
        StackSqueeze.squeeze(
            () -> cut.online(),
            this::markCut,
            e -> {
              cut.mark(slot, ELSEWHERE * PAGE, 1); // its note is overwritten
              cut.offline();
              othersMark();
              Set<Long> pages = Dirty.take(client);
              assertTrue(pages.containsAll(allOf(FIRST, COUNT)), "others: " + pages);
              assertTrue(pages.contains(ELSEWHERE), "its own: " + pages);
            });
    assertTrue(errors >= StackSqueeze.PADS, errors + " errors");
    assertEquals(Set.of(), Dirty.take(client));
  }

  /** At the point that no stack is sure to end at: the bit is set, and nothing is pushed. */
  @Test
  void mark_cutShortBetweenBitAndPushAndThenAnotherMark_marksOfOthersThatReliedOnItAreFound() {
    Assumptions.assumeTrue(mode.hasRings());
    for (int round = 0; round < 3; round++) {
      cut.online();
      Object unused = new HalfDoneMark(cut.marks(), slot.live, slot.slot.entryId(), FIRST);
      cut.mark(slot, ELSEWHERE * PAGE, 1); // needs the note
      cut.offline();
      other.online();
      other.mark(slot, FIRST * PAGE, 1); // finds the bit set
      other.offline();
      assertEquals(Set.of(FIRST, ELSEWHERE), Dirty.take(client));
      assertEquals(Set.of(), Dirty.take(client));
    }
  }

  /** The error of a store that had no memory comes a little later: in the mark, perhaps. */
  @Test
  void mark_afterAStoreThatFaults_laterWritesToThePageAreFound() throws Exception {
    Assumptions.assumeTrue(
        Runtime.version().feature() >= 21, "older JVMs throw the error at any time later");
    Path path = Files.createTempFile("smudge", "ram");
    int faults = 0;
    try (FileChannel file =
        FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      MappedByteBuffer ram = file.map(FileChannel.MapMode.READ_WRITE, 0, 1_000 * PAGE);
      for (int i = 0; i < 30_000; i++) { // compiled
        store(ram, 1 + i % 700);
        if (i % 64 == 0) {
          cut.safepoint();
          Dirty.take(client);
        }
      }
      for (int round = 0; round < 500; round++) {
        int at = round;
        int page = 800 + round % 100;
        Dirty.take(client);
        file.truncate(500 * PAGE);
        try {
          store(ram, page);
        } catch (InternalError e) {
          faults++;
        }
        // The error may come as late as in one of these, by the JVM: it is made once more then.
        faults += again(() -> file.write(ByteBuffer.allocate(1), 1_000 * PAGE - 1)); // memory
        faults += again(() -> store(ram, 1 + at % 400));
        faults += again(() -> store(ram, page));
        cut.safepoint();
        Set<Long> found = Dirty.take(client);
        assertTrue(found.contains((long) page) && found.contains(page - 1L), "round " + round);
      }
    } finally {
      Files.delete(path);
    }
    assertTrue(faults > 0, "no fault");
  }

  private interface Step {
    void run() throws Exception;
  }

  /** Returns how often it had to be made again. */
  private static int again(Step step) throws Exception {
    for (int faults = 0; ; faults++) {
      try {
        step.run();
        return faults;
      } catch (InternalError e) {
        if (faults > 10) {
          throw e;
        }
      }
    }
  }

  /** Over two pages. */
  private void store(MappedByteBuffer ram, int page) {
    ram.putLong(page * PAGE - 4, 7);
    cut.mark(slot, page * PAGE - 4, 8);
  }

  @Test
  void hostMark_cutShort_whatHasReturnedIsFound() {
    boolean[] returned = new boolean[1];
    LogSlot[] fresh = new LogSlot[1];
    StackSqueeze.squeeze(
        () -> {
          returned[0] = false;
          fresh[0] = log.addSlot(7, 130, PAGE);
          Dirty.take(client);
        },
        () -> {
          log.mark(fresh[0], 129 * PAGE, 1);
          returned[0] = true;
        },
        e -> {
          try (DirtyBatch<LogSlot> batch = client.take()) {
            Set<Long> found = Dirty.pages(batch, 7);
            assertTrue(!returned[0] || found.contains(129L), "returned, and not found");
            batch.commit();
          }
          log.change().remove(fresh[0]).commit();
        });
  }

  @Test
  void mark_cutShortAndTheNextOneToo_nothingIsLost() {
    int errors =
        StackSqueeze.squeeze(
            () -> {
              cut.online();
              try {
                descend(cut, 20); // leaves a note, somewhere
              } catch (StackOverflowError e) {
                // that is the point
              }
            },
            () -> cut.mark(slot, (ELSEWHERE - 63) * PAGE, 64 * PAGE),
            e -> {
              cut.offline();
              othersMark();
              assertTrue(Dirty.take(client).containsAll(allOf(FIRST, COUNT)), "the first take");
            });
    assertTrue(errors >= StackSqueeze.PADS, errors + " errors");
  }

  /** Marks at every depth, on the way to the end of the stack and on the way back. */
  @SuppressWarnings("InfiniteRecursion") // ends by an error
  private int descend(LogVcpu vcpu, int frames) {
    int height;
    try {
      height = descend(vcpu, frames) + 1;
    } catch (StackOverflowError e) {
      height = 0;
    }
    if (height < frames) {
      try {
        vcpu.mark(slot, (FIRST + height) * PAGE, 1);
      } catch (StackOverflowError e) {
        return height;
      }
    }
    return height;
  }

  @Test
  void mark_atEveryDepthOfADeepRecursion_whatWasMarkedIsFoundByTheNextTake() throws Exception {
    for (int round = 0; round < 50; round++) {
      boolean[] marked = new boolean[1_000];
      Thread thread =
          new Thread(
              null,
              () -> {
                try {
                  markOnTheWayDown(marked, 0);
                } catch (StackOverflowError e) {
                  // the guest's stack ends, as its runtime catches it
                }
                for (int page = 0; page < 1_000; page += 3) {
                  cut.mark(slot, (long) page * PAGE, 1);
                  marked[page] = true;
                }
                cut.offline();
              },
              "guest",
              200_000 + 1_000L * round);
      thread.start();
      thread.join();
      Set<Long> found = Dirty.take(client);
      for (int page = 0; page < 1_000; page++) {
        assertTrue(!marked[page] || found.contains((long) page), "marked, and not found: " + page);
      }
    }
  }

  @SuppressWarnings("InfiniteRecursion") // ends by an error
  private void markOnTheWayDown(boolean[] marked, int depth) {
    int page = depth * 7 % 1_000;
    cut.mark(slot, (long) page * PAGE, 1);
    marked[page] = true;
    markOnTheWayDown(marked, depth + 1);
  }

  @Test
  void vcpuClosesOrDiesAfterAMarkThatWasCutShort_marksOfOthersAreFound() throws Exception {
    for (boolean close : new boolean[] {true, false}) {
      for (int frames = 0; frames < 60; frames++) {
        LogVcpu vcpu = log.addVcpu();
        int height = frames;
        Thread thread =
            new Thread(
                null,
                () -> {
                  vcpu.mark(slot, ELSEWHERE * PAGE, 1);
                  markAbove(vcpu, height);
                  if (close) {
                    vcpu.close();
                  }
                },
                "guest",
                200_000);
        thread.start();
        thread.join();
        othersMark();
        assertTrue(Dirty.take(client).containsAll(allOf(FIRST, COUNT)), "frames: " + frames);
        vcpu.close();
        assertTrue(
            Set.of(ELSEWHERE).containsAll(Dirty.take(client)),
            "nothing that was told is told again");
      }
    }
  }

  @SuppressWarnings("InfiniteRecursion") // ends by an error
  private int markAbove(LogVcpu vcpu, int frames) {
    int height;
    try {
      height = markAbove(vcpu, frames) + 1;
    } catch (StackOverflowError e) {
      height = 0;
    }
    if (height == frames) {
      try {
        vcpu.mark(slot, FIRST * PAGE, COUNT * PAGE);
      } catch (StackOverflowError e) {
        return height;
      }
    }
    return height;
  }
}
