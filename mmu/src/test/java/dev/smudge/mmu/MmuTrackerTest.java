package dev.smudge.mmu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.core.SlotTransaction;
import dev.smudge.linux.AnonymousMemory;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.DirtyLogBuilder;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import dev.smudge.testkit.GuestMachine;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What the MMU sees, and how it is fetched and cleared. */
@RequiresMmu
@Timeout(60)
class MmuTrackerTest {
  private static final int PAGE = 4096;

  private static GuestMemory memory() {
    return GuestMemory.over(MmuTracker.log());
  }

  private static void store(MemorySegment ram, long page) {
    ram.set(ValueLayout.JAVA_INT, page * PAGE + 8, 1);
  }

  @Test
  void whyNot_here_nothing() {
    assertEquals(Optional.empty(), MmuTracker.whyNot());
  }

  @Test
  void store_rawAndBySystemCall_isFound(@TempDir Path directory) throws IOException {
    Path file = Files.write(directory.resolve("content"), new byte[3 * PAGE]);
    try (GuestMemory memory = memory();
        FileChannel channel = FileChannel.open(file)) {
      GuestSlot slot = memory.addSlot(1, 0, 100 * PAGE);
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      store(slot.ram(), 7);
      assertEquals(Set.of("1:7"), GuestMachine.take(client));
      assertEquals(Set.of(), GuestMachine.take(client));
      assertEquals(3 * PAGE, channel.read(slot.ram().asSlice(20 * PAGE, 3 * PAGE).asByteBuffer()));
      slot.ram().asSlice(50 * PAGE, PAGE + 1).fill((byte) 1);
      assertEquals(Set.of("1:20", "1:21", "1:22", "1:50", "1:51"), GuestMachine.take(client));
    }
  }

  /** What is not there is neither found nor protected: then page tables would have to be filled. */
  @Test
  void take_aTebibyteAlmostUntouched_findsWhatWasTouchedAndFillsNoPageTables() throws IOException {
    long tib = 1L << 40;
    try (GuestMemory memory = memory()) {
      GuestSlot slot = memory.addSlot(1, 0, tib);
      long before = pageTables();
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      store(slot.ram(), 5);
      store(slot.ram(), (tib >>> 12) - 1);
      assertEquals(Set.of("1:5", "1:268435455"), GuestMachine.take(client));
      assertEquals(Set.of(), GuestMachine.take(client));
      store(slot.ram(), 1 << 20);
      assertEquals(Set.of("1:1048576"), GuestMachine.take(client));
      long grown = pageTables() - before;
      assertTrue(grown < 1 << 12, "page tables have grown by KiB " + grown);
    }
  }

  private static long pageTables() throws IOException {
    return Files.readAllLines(Path.of("/proc/self/status")).stream()
        .filter(line -> line.startsWith("VmPTE:"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")))
        .findFirst()
        .orElseThrow();
  }

  @Test
  void largerPages_aStoreAnywhereInOne_isFoundAndItsNeighboursAreNot() {
    try (GuestMemory memory = memory()) {
      GuestSlot slot = memory.addSlot(1, 0, 64 << 16, 1 << 16);
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      store(slot.ram(), 16 + 15);
      store(slot.ram(), 32);
      assertEquals(Set.of("1:1", "1:2"), GuestMachine.take(client));
      store(slot.ram(), 16);
      assertEquals(Set.of("1:1"), GuestMachine.take(client));
    }
  }

  @Test
  void move_writesByTheOldSlotsRam_areFoundInTheNewOne() {
    try (GuestMemory memory = memory()) {
      MemorySegment ram = memory.addSlot(1, 0, 100 * PAGE).ram();
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      store(ram, 3);
      try (SlotTransaction change = memory.beginTransaction()) {
        change.move(1, 1 << 30).commit();
      }
      store(memory.slot(1).ram(), 4);
      assertEquals(Set.of("1:3", "1:4"), GuestMachine.take(client));
      store(memory.slot(1).ram(), 3);
      assertEquals(Set.of("1:3"), GuestMachine.take(client));
    }
  }

  /** The old slot has been fetched, and the pages of the new one are not cleared yet. */
  @Test
  void move_aStoreInTheMiddleOfTheSwap_isFound() {
    Runnable[] inTheMiddle = {() -> {}};
    DirtyLogBuilder options =
        DirtyLog.builder()
            .interceptTracker(real ->
                new ForwardingTracker(real) {
                  @Override
                  protected void start(TrackedSlot slot, SlotTracker to) {
                    inTheMiddle[0].run();
                    super.start(slot, to);
                    inTheMiddle[0].run();
                  }

                  @Override
                  protected void remove(TrackedSlot slot, SlotTracker to) {
                    inTheMiddle[0].run();
                    super.remove(slot, to);
                  }
                });
    try (GuestMemory memory = GuestMemory.over(MmuTracker.log(options))) {
      MemorySegment ram = memory.addSlot(1, 0, 100 * PAGE).ram();
      ram.fill((byte) 1);
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      long[] page = {40};
      inTheMiddle[0] = () -> store(ram, page[0]++);
      try (SlotTransaction change = memory.beginTransaction()) {
        change.move(1, 1 << 30).commit();
      }
      inTheMiddle[0] = () -> {};
      assertEquals(Set.of("1:40", "1:41", "1:42"), GuestMachine.take(client));
      assertEquals(Set.of(), GuestMachine.take(client));
    }
  }

  /** Runs something in front of a call of the tracker's, once. */
  private static final class Before extends ForwardingTracker {
    private @Nullable Runnable collect;
    private @Nullable Runnable clear;

    Before(Tracker tracker) {
      super(tracker);
    }

    private static void run(@Nullable Runnable once) {
      if (once != null) {
        once.run();
      }
    }

    @Override
    protected void collect(TrackedSlot slot, SlotTracker to, PageWordConsumer sink) {
      Runnable now = collect;
      collect = null;
      super.collect(
          slot,
          to,
          (word, pages) -> {
            run(now);
            sink.accept(word, pages);
          });
    }

    @Override
    protected void clear(
        TrackedSlot slot, SlotTracker to, long firstPage, long pageCount, long[] bitmap) {
      Runnable now = clear;
      clear = null;
      run(now);
      super.clear(slot, to, firstPage, pageCount, bitmap);
    }
  }

  private final List<Before> intercepted = new ArrayList<>();

  private GuestMemory interceptedMemory() {
    return GuestMemory.over(
        MmuTracker.log(
            DirtyLog.builder()
                .interceptTracker(real -> {
                  intercepted.add(new Before(real));
                  return intercepted.getLast();
                })));
  }

  private static Set<String> takeAtMost(DirtyClient<GuestSlot> client, long most) {
    Set<String> found = new TreeSet<>();
    try (DirtyBatch<GuestSlot> batch = client.takeAtMost(most)) {
      batch.forEachRun(1, (slot, page, one) -> found.add(slot.id() + ":" + page));
      batch.commit();
    }
    return found;
  }

  /** In one step with the fetch where everything is taken, else as late as can be. */
  @Test
  void take_protectsWhereAllIsTakenWithTheFetch_elseWithTheClear() {
    try (GuestMemory memory = interceptedMemory()) {
      MemorySegment ram = memory.addSlot(1, 0, 100 * PAGE).ram();
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      store(ram, 3);
      intercepted.getFirst().clear = () -> store(ram, 3);
      assertEquals(Set.of("1:3"), takeAtMost(client, 99));
      assertEquals(Set.of(), GuestMachine.take(client)); // the batch has read that
      store(ram, 3);
      intercepted.getFirst().clear = () -> store(ram, 3);
      assertEquals(Set.of("1:3"), GuestMachine.take(client));
      assertEquals(Set.of("1:3"), takeAtMost(client, 99)); // a fault more, and found once more
      assertEquals(Set.of(), GuestMachine.take(client));
    }
  }

  /** Pages that a fetch has protected, and nobody has cleared. */
  @Test
  void take_isCutShortBetweenFetchAndClear_itsPagesComeAgainAndSoDoTheirWrites() {
    try (GuestMemory memory = interceptedMemory()) {
      MemorySegment ram = memory.addSlot(1, 0, 100 * PAGE).ram();
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      DirtyClient<GuestSlot> other = memory.client("d", InitialView.NONE_DIRTY);
      store(ram, 3);
      store(ram, 70);
      intercepted.getFirst().clear =
          () -> {
            throw new IllegalStateException("on purpose");
          };
      assertThrows(IllegalStateException.class, client::take);
      store(ram, 3);
      store(ram, 4);
      assertEquals(Set.of("1:3"), takeAtMost(client, 1));
      store(ram, 3);
      assertEquals(Set.of("1:3", "1:4", "1:70"), GuestMachine.take(other));
      assertEquals(Set.of("1:3", "1:4", "1:70"), GuestMachine.take(client));
      assertEquals(Set.of(), GuestMachine.take(other));
      assertEquals(Set.of(), GuestMachine.take(client));
    }
  }

  /** None was protected before, and no fetch has looked. */
  @Test
  void takeSynced_beforeAnyFetch_protectsWhatItTakes() {
    try (GuestMemory memory = memory()) {
      MemorySegment ram = memory.addSlot(1, 0, 100 * PAGE).ram();
      ram.fill((byte) 1);
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.ALL_DIRTY);
      try (DirtyBatch<GuestSlot> batch = client.takeSynced()) {
        assertEquals(100, batch.pageCount());
        batch.commit();
      }
      store(ram, 3);
      assertEquals(Set.of("1:3"), GuestMachine.take(client));
    }
  }

  /** Protected as well, and told to nobody. */
  @Test
  void take_isCutShortInTheFetch_whatItHasFoundComesTheNextTime() {
    try (GuestMemory memory = interceptedMemory()) {
      MemorySegment ram = memory.addSlot(1, 0, 100 * PAGE).ram();
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      store(ram, 3);
      intercepted.getFirst().collect =
          () -> {
            throw new IllegalStateException("on purpose");
          };
      assertThrows(IllegalStateException.class, client::take);
      assertEquals(Set.of("1:3"), takeAtMost(client, 99));
      assertEquals(Set.of(), GuestMachine.take(client));
    }
  }

  @Test
  void secondClient_afterTheFirstHasEnded_isToldOfWhatComesThen() {
    try (GuestMemory memory = memory()) {
      MemorySegment ram = memory.addSlot(1, 0, 100 * PAGE).ram();
      DirtyClient<GuestSlot> first = memory.client("first", InitialView.NONE_DIRTY);
      store(ram, 1);
      assertEquals(Set.of("1:1"), GuestMachine.take(first));
      first.close();
      store(ram, 2);
      DirtyClient<GuestSlot> second = memory.client("second", InitialView.NONE_DIRTY);
      assertEquals(Set.of(), GuestMachine.take(second));
      store(ram, 2);
      assertEquals(Set.of("1:2"), GuestMachine.take(second));
    }
  }

  /** The kernel gives names of files as they are: they need not be text in any character set. */
  @Test
  void memoryAt_aFileWhoseNameIsNoTextIsMapped_isNoHindrance(@TempDir Path directory)
      throws Exception {
    String create = "touch \"$(printf 'caf\\351')\"";
    Process shell = new ProcessBuilder("sh", "-c", create).directory(directory.toFile()).start();
    assertEquals(0, shell.waitFor());
    try (Arena arena = Arena.ofShared();
        Stream<Path> files = Files.list(directory);
        FileChannel channel =
            FileChannel.open(
                files.findFirst().orElseThrow(),
                StandardOpenOption.READ,
                StandardOpenOption.WRITE)) {
      long good = AnonymousMemory.map(10 * PAGE, arena).address();
      MemorySegment mapped = channel.map(FileChannel.MapMode.READ_WRITE, 0, PAGE, arena);
      assertEquals(10 * PAGE, MmuTracker.memoryAt(good, 10 * PAGE).byteSize());
      IllegalArgumentException e =
          assertThrows(
              IllegalArgumentException.class, () -> MmuTracker.memoryAt(mapped.address(), PAGE));
      assertTrue(
          String.valueOf(e.getMessage()).contains("shared memory (" + directory), e.getMessage());
    }
  }
}
