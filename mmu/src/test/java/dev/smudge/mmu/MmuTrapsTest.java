package dev.smudge.mmu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.core.SlotTransaction;
import dev.smudge.linux.AnonymousMemory;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.testkit.GuestMachine;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * What the kernel does to pages by itself, and what others do to them. docs/mmu.md has the rules.
 */
@RequiresMmu
@Timeout(60)
class MmuTrapsTest {
  private static final int PAGE = 4096;
  private static final int HUGE = 2 << 20;
  private static final int PAGES = 4 * HUGE / PAGE;

  private final GuestMemory memory = GuestMemory.over(MmuTracker.log());
  private MemorySegment ram = MemorySegment.NULL;
  private DirtyClient<GuestSlot> client;

  MmuTrapsTest() {
    memory.addSlot(1, 0, (long) PAGES * PAGE);
    client = memory.client("c", InitialView.NONE_DIRTY);
  }

  /** Every page has content, the same in some, and is protected. */
  @BeforeEach
  void fill() {
    ram = memory.slot(1).ram();
    ram.fill((byte) 1);
    assertEquals(PAGES, GuestMachine.take(client).size());
    // What the kernel was moving when a take protected it is found once more.
    for (int takes = 0; !GuestMachine.take(client).isEmpty(); takes++) {
      assertTrue(takes < 10);
    }
  }

  @AfterEach
  void close() {
    memory.close();
  }

  private void store(long page) {
    ram.set(ValueLayout.JAVA_INT, page * PAGE + 8, (int) page);
  }

  private static Set<String> pages(int... pages) {
    Set<String> set = new TreeSet<>();
    for (int page : pages) {
      set.add("1:" + page);
    }
    return set;
  }

  private static void assume(Disturber disturber) throws IOException {
    boolean there =
        switch (disturber) {
          case PAGEOUT -> Disturber.hasSwap();
          case MERGEABLE -> Disturber.mergesPages();
          default -> true;
        };
    if (!there) {
      System.out.println("No swap, or no merging of pages, on this machine: skipped " + disturber);
    }
    Assumptions.assumeTrue(there, "this machine has it");
  }

  /** Neither is a page dirty by it, nor is one lost that is written before it or after. */
  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "COLLAPSE") // refused: they are protected
  void disturbedPages_storesBeforeAndAfter_areFoundAndNothingElse(Disturber disturber)
      throws Exception {
    assume(disturber);
    store(3);
    Assumptions.assumeTrue(disturber.disturb(ram), "this machine has it");
    store(700);
    assertEquals(pages(3, 700), GuestMachine.take(client));
    disturber.disturb(ram);
    assertEquals(Set.of(), GuestMachine.take(client));
    store(3);
    assertEquals(pages(3), GuestMachine.take(client));
    assertEquals(3, ram.get(ValueLayout.JAVA_INT, 3L * PAGE + 8));
  }

  /** A page of zeroes counts as any other: the kernel puts it where it merges, or splits. */
  @Test
  void pageOfZeroes_thatIsThereAndNotProtected_isFound() {
    AnonymousMemory.discard(ram.asSlice(5 * PAGE, PAGE));
    assertEquals(0, ram.get(ValueLayout.JAVA_INT, 5 * PAGE)); // read: the page of zeroes is there
    assertEquals(pages(5), GuestMachine.take(client));
  }

  /** A hole is not found, since nobody has written it; so whoever makes it marks. */
  @Test
  void discardedPages_areFoundWhereTheyAreMarkedAndWhenTheyAreWritten() {
    AnonymousMemory.discard(ram.asSlice(5 * PAGE, 2 * PAGE));
    assertEquals(Set.of(), GuestMachine.take(client));
    memory.device().mark(5 * PAGE, 2 * PAGE);
    assertEquals(pages(5, 6), GuestMachine.take(client));
    store(6);
    assertEquals(pages(6), GuestMachine.take(client));
  }

  /** What the memory itself gives back is new when it comes again. */
  @Test
  void resize_pagesThatGoAndComeAgain_areDirty() {
    for (long size : new long[] {ram.byteSize() - 2 * PAGE, ram.byteSize()}) {
      try (SlotTransaction change = memory.beginTransaction()) {
        change.resize(1, size).commit().forEach(lost -> lost.close());
      }
    }
    assertEquals(pages(PAGES - 2, PAGES - 1), GuestMachine.take(client));
  }

  /** A huge page is dirty as a whole at first, and page by page once it was protected. */
  @Test
  void hugePages_afterTheFirstTake_areFoundPageByPage() throws IOException {
    assertTrue(memory.slot(1).adviseHugePages());
    AnonymousMemory.discard(ram);
    ram.fill((byte) 2);
    Assumptions.assumeTrue(hugeKib() > 0, "the kernel has huge pages");
    assertEquals(PAGES, GuestMachine.take(client).size());
    store(513);
    assertEquals(pages(513), GuestMachine.take(client));
    AnonymousMemory.discard(ram.asSlice(1025 * PAGE, PAGE)); // splits another one
    store(1026);
    assertEquals(pages(1026), GuestMachine.take(client));
  }

  /** Of the RAM, in huge pages. */
  private long hugeKib() throws IOException {
    long kib = 0;
    boolean mine = false;
    for (String line : Files.readAllLines(Path.of("/proc/self/smaps"))) {
      String[] words = line.split("[- :]+", -1);
      if (line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
        long from = Long.parseUnsignedLong(words[0], 16);
        long end = Long.parseUnsignedLong(words[1], 16);
        mine = from < ram.address() + ram.byteSize() && ram.address() < end;
      } else if (mine && words[0].equals("AnonHugePages")) {
        kib += Long.parseLong(words[1]);
      }
    }
    return kib;
  }

  @Test
  void adviseHugePages_ramOfTheEmbedder_isNotTaken() {
    try (Arena arena = Arena.ofShared()) {
      assertFalse(memory.addSlot(2, 1 << 30, arena.allocate(PAGE, PAGE), PAGE).adviseHugePages());
      memory.removeSlot(2).close();
    }
  }
}
