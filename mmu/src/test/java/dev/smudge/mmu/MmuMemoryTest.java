package dev.smudge.mmu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.linux.AnonymousMemory;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.DirtyLogBuilder;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.RemovedSlot;
import dev.smudge.sync.rcu.RcuTimeoutException;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.testkit.GuestMachine;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Which memory the MMU tracker takes and what it says of the rest; what it does when memory goes
 * away beneath it, and of writes that page tables do not see.
 */
@RequiresMmu
@Timeout(60)
class MmuMemoryTest {
  private static final int PAGE = 4096;

  private final List<Throwable> errors = new CopyOnWriteArrayList<>();

  private GuestMemory memory() {
    return GuestMemory.over(MmuTracker.log(DirtyLog.builder().errorHandler(errors::add)));
  }

  @AfterEach
  void nothingElseIsReported() {
    assertEquals(List.of(), errors);
  }

  private void assertReported(String message) {
    assertEquals(1, errors.size(), errors::toString);
    assertTrue(errors.getFirst().toString().contains(message), errors::toString);
    errors.clear();
  }

  private static void store(MemorySegment ram, long page) {
    ram.set(ValueLayout.JAVA_INT, page * PAGE + 8, 1);
  }

  private static void assertRefused(GuestMemory memory, MemorySegment ram, long page, String why) {
    IllegalArgumentException e =
        assertThrows(IllegalArgumentException.class, () -> memory.addSlot(9, 0, ram, page));
    assertTrue(String.valueOf(e.getMessage()).contains(why), e.toString());
    assertEquals(0, memory.slots().size());
  }

  @Test
  void addSlot_memoryThatCannotBeTracked_isRefusedWithTheReason(@TempDir Path directory)
      throws IOException {
    Path file = directory.resolve("ram");
    try (GuestMemory memory = memory();
        Arena arena = Arena.ofShared();
        FileChannel channel =
            FileChannel.open(
                file,
                StandardOpenOption.CREATE,
                StandardOpenOption.READ,
                StandardOpenOption.WRITE)) {
      assertRefused(memory, MemorySegment.ofArray(new byte[PAGE]), PAGE, "Java heap");
      assertRefused(memory, arena.allocate(PAGE, PAGE), 1024, "pages of 4096");
      assertRefused(
          memory, arena.allocate(3 * PAGE, PAGE).asSlice(8, PAGE), PAGE, "not a multiple");
      MemorySegment shared = channel.map(FileChannel.MapMode.READ_WRITE, 0, PAGE, arena);
      assertRefused(memory, shared, PAGE, "shared memory (" + file);
      MemorySegment copy = channel.map(FileChannel.MapMode.PRIVATE, 0, PAGE, arena);
      assertRefused(memory, copy, PAGE, "mapping of the file " + file);
      memory.addSlot(9, 0, arena.allocate(PAGE, PAGE), PAGE);
    }
  }

  private static void assertNoMemory(long address, long bytes, String why) {
    IllegalArgumentException e =
        assertThrows(IllegalArgumentException.class, () -> MmuTracker.memoryAt(address, bytes));
    assertTrue(String.valueOf(e.getMessage()).contains(why), e.toString());
  }

  @Test
  void memoryAt_memoryOfTheProcess_isTracked() {
    try (GuestMemory memory = memory();
        Arena arena = Arena.ofShared()) {
      MemorySegment library = arena.allocate(10 * PAGE, PAGE); // the C library's
      MemorySegment ram = MmuTracker.memoryAt(library.address(), 10 * PAGE);
      memory.addSlot(1, 0, ram, PAGE);
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      store(library, 3);
      store(ram, 4);
      assertEquals(Set.of("1:3", "1:4"), GuestMachine.take(client));
      memory.removeSlot(1).close();
    }
  }

  @Test
  void memoryAt_whatCannotBeTracked_isRefusedWithTheReason(@TempDir Path directory)
      throws IOException {
    Path file = directory.resolve("ram");
    try (Arena arena = Arena.ofShared();
        FileChannel channel =
            FileChannel.open(
                file,
                StandardOpenOption.CREATE,
                StandardOpenOption.READ,
                StandardOpenOption.WRITE)) {
      long good = AnonymousMemory.map(10 * PAGE, arena).address();
      assertEquals(10 * PAGE, MmuTracker.memoryAt(good, 10 * PAGE).byteSize());
      assertNoMemory(good + 8, PAGE, "multiples of 4096");
      assertNoMemory(good, PAGE + 1, "multiples of 4096");
      assertNoMemory(good, 0, "more than 0");
      assertNoMemory(good, -PAGE, "more than 0");
      assertNoMemory(good, Long.MAX_VALUE & -PAGE, "no memory there");
      assertNoMemory(-PAGE, PAGE, "no memory there");
      assertNoMemory(0, PAGE, "0x0 is not mapped");
      MemorySegment shared = channel.map(FileChannel.MapMode.READ_WRITE, 0, PAGE, arena);
      assertNoMemory(shared.address(), PAGE, "shared memory (" + file);
      MemorySegment copy = channel.map(FileChannel.MapMode.PRIVATE, 0, PAGE, arena);
      assertNoMemory(copy.address(), PAGE, "mapping of the file " + file);
      assertNoMemory(guardPage(), PAGE, "not readable and writable (---p)");
    }
  }

  /** As the kernel shows such memory, of which a machine may have reserved none. */
  @Test
  void hugePagesOfHugetlbfs_areRefusedWithTheReason() {
    String reason = ProcessMaps.reasonAgainst("rw-p", "1693889", "/anon_hugepage (deleted)");
    assertTrue(String.valueOf(reason).contains("huge pages of hugetlbfs"), reason);
    reason = ProcessMaps.reasonAgainst("rw-s", "0", "/dev/zero (deleted)");
    assertEquals("it is shared memory (/dev/zero (deleted))", reason);
  }

  /** The JVM has some below its stacks. */
  private static long guardPage() throws IOException {
    return Files.readAllLines(Path.of("/proc/self/maps")).stream()
        .filter(line -> line.matches("\\S+ ---p 0+ 00:00 0 *"))
        .mapToLong(line -> Long.parseUnsignedLong(line.substring(0, line.indexOf('-')), 16))
        .findFirst()
        .orElseThrow();
  }

  /** A second one would take from the first what it has not fetched yet. */
  @Test
  void twoLogs_overTheSameMemory_theSecondIsRefused() {
    try (GuestMemory first = memory();
        GuestMemory second = memory();
        Arena arena = Arena.ofShared()) {
      MemorySegment ram = AnonymousMemory.map(10 * PAGE, arena);
      first.addSlot(1, 0, ram, PAGE);
      DirtyClient<GuestSlot> client = first.client("c", InitialView.NONE_DIRTY);
      second.addSlot(1, 0, ram, PAGE);
      MmuException e =
          assertThrows(MmuException.class, () -> second.client("d", InitialView.NONE_DIRTY));
      assertTrue(String.valueOf(e.getMessage()).contains("another log"), e.toString());
      store(ram, 3);
      assertEquals(Set.of("1:3"), GuestMachine.take(client));
      first.removeSlot(1).close();
      DirtyClient<GuestSlot> other = second.client("d", InitialView.NONE_DIRTY);
      store(ram, 4);
      assertEquals(Set.of("1:4"), GuestMachine.take(other));
    }
  }

  /** A scan by the first log would protect what was written to the memory of the second. */
  @Test
  @SuppressWarnings("try") // the first is closed before the second
  void take_theRamOfAnotherLogIsWhereThisOneWas_theOtherLosesNothing() {
    try (GuestMemory first = memory();
        GuestMemory second = memory();
        Arena arena = Arena.ofShared()) {
      Arena gone = Arena.ofShared();
      MemorySegment before = AnonymousMemory.map(10 * PAGE, gone);
      first.addSlot(1, 0, before, PAGE);
      DirtyClient<GuestSlot> client = first.client("c", InitialView.NONE_DIRTY);
      gone.close(); // its owner forgets that there is a slot
      MemorySegment ram = AnonymousMemory.map(10 * PAGE, arena);
      Assumptions.assumeTrue(ram.address() == before.address(), "mapped elsewhere");
      second.addSlot(1, 0, ram, PAGE);
      DirtyClient<GuestSlot> other = second.client("d", InitialView.NONE_DIRTY);
      store(ram, 3);
      for (int i = 0; i < 2; i++) {
        assertEquals(10, GuestMachine.take(client).size());
      }
      assertReported("was not called: the memory of the slot was unmapped");
      assertEquals(Set.of("1:3"), GuestMachine.take(other));
      store(ram, 4);
      first.removeSlot(1).close();
      assertEquals(Set.of("1:4"), GuestMachine.take(other));
      first.close();
      store(ram, 5);
      assertEquals(Set.of("1:5"), GuestMachine.take(other));
    }
  }

  /** A scan of memory that is not registered would find nothing, in silence. */
  @Test
  void take_theRamWasMappedAnew_allOfItsPagesAreDirtyAndItCanBeRemoved() {
    try (GuestMemory memory = memory();
        Arena arena = Arena.ofShared()) {
      MemorySegment ram = AnonymousMemory.map(10 * PAGE, arena);
      memory.addSlot(1, 0, ram, PAGE);
      GuestSlot other = memory.addSlot(2, 1 << 20, 10 * PAGE);
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      store(other.ram(), 3);
      AnonymousMemory.withdraw(ram); // another mapping is there now
      for (int i = 0; i < 2; i++) {
        try (DirtyBatch<GuestSlot> batch = client.take()) {
          assertEquals(i == 0 ? 11 : 10, batch.pageCount());
          batch.commit();
        }
      }
      assertReported("the memory of the slot was unmapped, or mapped anew");
      memory.removeSlot(1).close();
      store(other.ram(), 4);
      assertEquals(Set.of("2:4"), GuestMachine.take(client));
    }
  }

  /** The first pages are protected by then, and were not reported. */
  @Test
  void take_theScanFailsInTheMiddle_allPagesAreDirty() {
    try (GuestMemory memory = memory();
        Arena arena = Arena.ofShared()) {
      MemorySegment ram = AnonymousMemory.map(200 * PAGE, arena);
      memory.addSlot(1, 0, ram, PAGE);
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      store(ram, 3);
      AnonymousMemory.withdraw(ram.asSlice(100 * PAGE));
      assertEquals(200, GuestMachine.take(client).size());
      assertEquals(200, GuestMachine.take(client).size());
      assertReported("all pages of slot 1 count as written from now on: PAGEMAP_SCAN");
      memory.removeSlot(1).close();
    }
  }

  @Test
  void take_theRamWasUnmapped_theOtherSlotsAreFoundAndItCanBeRemoved() {
    try (GuestMemory memory = memory()) {
      Arena arena = Arena.ofShared();
      memory.addSlot(1, 0, AnonymousMemory.map(10 * PAGE, arena), PAGE);
      GuestSlot other = memory.addSlot(2, 1 << 20, 10 * PAGE);
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      store(other.ram(), 3);
      arena.close();
      assertEquals(Set.of("2:3"), GuestMachine.take(client));
      memory.removeSlot(1).close();
      store(other.ram(), 4);
      assertEquals(Set.of("2:4"), GuestMachine.take(client));
    }
  }

  /**
   * What was written after the last fetch of a slot that goes is in its handle, also where another
   * slot has taken the memory over before that was read.
   */
  @Test
  void remove_aStoreAfterTheLastFetch_isInTheHandleThoughAnotherSlotArmsThePage() throws Exception {
    Runnable[] first = {() -> {}};
    DirtyLogBuilder options =
        DirtyLog.builder()
            .timeout(Duration.ofMillis(300))
            .errorHandler(errors::add)
            .interceptTracker(real ->
                new ForwardingTracker(real) {
                  @Override
                  protected void remove(TrackedSlot slot, SlotTracker to) {
                    first[0].run();
                    super.remove(slot, to);
                  }
                });
    try (GuestMemory memory = GuestMemory.over(MmuTracker.log(options));
        Arena arena = Arena.ofShared()) {
      MemorySegment ram = AnonymousMemory.map(100 * PAGE, arena);
      memory.addSlot(1, 0, ram, PAGE);
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      store(ram, 3);
      first[0] = () -> store(ram, 40);
      CountDownLatch entered = new CountDownLatch(1);
      CountDownLatch leave = new CountDownLatch(1);
      Thread device =
          Thread.ofPlatform()
              .start(() -> {
                memory.log().rcu().enter(); // keeps the removal from its end
                entered.countDown();
                awaitQuietly(leave);
                memory.log().rcu().exit();
              });
      entered.await();
      assertThrows(RcuTimeoutException.class, () -> memory.removeSlot(1));
      first[0] = () -> {};
      memory.addSlot(2, 1 << 20, ram, PAGE);
      store(ram, 50); // after the old slot was protected, by the device, which has that slot still
      assertEquals(100, GuestMachine.take(client).size()); // arms them
      store(ram, 60);
      assertEquals(Set.of("2:60"), GuestMachine.take(client));
      leave.countDown();
      device.join();
      Set<Long> last = new TreeSet<>();
      try (RemovedSlot<GuestSlot> removed = memory.removeSlot(1)) {
        removed.forEachRun((slot, page, count) -> {
          for (long i = 0; i < count; i++) {
            last.add(page + i);
          }
        });
      }
      assertEquals(Set.of(3L, 40L, 50L, 60L), last);
      memory.removeSlot(2).close();
      errors.clear();
    }
  }

  private static void awaitQuietly(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Opens a file for reads that go past the page cache; skips the test where that cannot be. */
  private static FileChannel openDirect(Path file) throws IOException {
    OpenOption direct =
        Stream.of(directOptions())
            .filter(option -> option.toString().equals("DIRECT"))
            .findFirst()
            .orElseThrow();
    try {
      return FileChannel.open(file, StandardOpenOption.READ, direct);
    } catch (UnsupportedOperationException | IOException e) {
      System.out.println("O_DIRECT is not tested, the file system of " + file + " has none: " + e);
      return Assumptions.abort("no O_DIRECT: " + e);
    }
  }

  /** By name, as it is not of every JDK. */
  private static OpenOption[] directOptions() {
    try {
      return (OpenOption[]) Class.forName("com.sun.nio.file.ExtendedOpenOption").getEnumConstants();
    } catch (ClassNotFoundException e) {
      return Assumptions.abort("this JDK has no option for O_DIRECT");
    }
  }

  /**
   * The kernel notes a write when it pins the pages for the device, before the bytes have landed. A
   * take in between arms them, and what lands then is not seen: so it has to be marked.
   */
  @Test
  void readWithoutThePageCache_markedAfterItHasLanded_losesNothingBesideTakes(
      @TempDir Path directory) throws Exception {
    int pages = 64;
    byte[] content = new byte[pages * PAGE];
    new Random(1).nextBytes(content);
    Path file = Files.write(directory.resolve("content"), content);
    try (FileChannel channel = openDirect(file);
        GuestMemory memory = memory()) {
      GuestSlot slot = memory.addSlot(1, 0, (long) pages * PAGE);
      DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
      MemorySegment copy = MemorySegment.ofArray(new byte[pages * PAGE]);
      AtomicBoolean stop = new AtomicBoolean();
      CompletableFuture<Integer> disk =
          CompletableFuture.supplyAsync(() -> readAtRandom(channel, slot, memory, stop));
      long end = System.nanoTime() + Duration.ofSeconds(1).toNanos();
      while (System.nanoTime() < end) {
        takeInto(copy, client);
      }
      stop.set(true);
      int reads = disk.get();
      takeInto(copy, client);
      assertEquals(-1, slot.ram().mismatch(copy), "after " + reads + " reads");
      assertTrue(reads > 0);
    }
  }

  private static int readAtRandom(
      FileChannel channel, GuestSlot slot, GuestMemory memory, AtomicBoolean stop) {
    Random random = new Random(2);
    int pages = (int) slot.pageCount();
    int reads = 0;
    for (; !stop.get(); reads++) {
      int count = 1 + random.nextInt(8);
      long to = (long) random.nextInt(pages - count) * PAGE;
      ByteBuffer buffer = slot.ram().asSlice(to, (long) count * PAGE).asByteBuffer();
      try {
        channel.read(buffer, (long) random.nextInt(pages - count) * PAGE);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      memory.device().mark(to, (long) count * PAGE);
    }
    return reads;
  }

  private static void takeInto(MemorySegment copy, DirtyClient<GuestSlot> client) {
    try (DirtyBatch<GuestSlot> batch = client.take()) {
      batch.forEachRun((slot, first, count) ->
          copy.asSlice(first * PAGE, count * PAGE).copyFrom(slot.pages(first, count)));
      batch.commit();
    }
  }
}
