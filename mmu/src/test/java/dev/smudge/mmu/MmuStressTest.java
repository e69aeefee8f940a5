package dev.smudge.mmu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.core.GuestAccessException;
import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.core.SlotTransaction;
import dev.smudge.linux.AnonymousMemory;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Writers that tell nobody, beside two clients that take, a slot that is moved, and a thread that
 * has the kernel move, split, merge, swap out and share pages: at the end, each client has read
 * what is in RAM, byte for byte. {@code -Dsmudge.mmuSeconds=600} for as long as is wanted, {@code
 * -Dsmudge.mmuDisturb=FORK,HUGE} for some {@link Disturber}s instead of all, {@code
 * -Dsmudge.mmuSeed} for the order of what the threads do.
 */
@RequiresMmu
@Timeout(3600)
class MmuStressTest {
  private static final long NANOS = TimeUnit.SECONDS.toNanos(Long.getLong("smudge.mmuSeconds", 4));
  private static final long SEED = Long.getLong("smudge.mmuSeed", System.nanoTime());
  private static final List<Disturber> DISTURBERS =
      Arrays.stream(System.getProperty("smudge.mmuDisturb", "").split(","))
          .filter(name -> !name.isEmpty())
          .map(Disturber::valueOf)
          .toList();
  private static final int PAGE = 4096;
  private static final long SIZE = 8L << 20;
  private static final VarHandle LONG = ValueLayout.JAVA_LONG.varHandle();

  @TempDir private Path directory;

  private volatile boolean stop;
  private Map<String, Integer> disturbed = Map.of(); // how often what was done

  @Test
  void rawWriters_besideTwoClients_nothingIsLost() throws Exception {
    long lost = run(UnaryOperator.identity(), NANOS);
    assertEquals(-1, lost, "lost: first byte that differs");
  }

  /** Now and then finds pages, clears them, and tells nobody. */
  private static final class TellsNobody extends ForwardingTracker {
    private int count;

    TellsNobody(Tracker tracker) {
      super(tracker);
    }

    @Override
    protected void collect(TrackedSlot slot, SlotTracker to, PageWordConsumer sink) {
      if (++count % 8 == 0) {
        to.expectClear();
        to.collect((word, pages) -> to.clear((long) word << 6, 64, new long[] {pages}));
      }
      super.collect(slot, to, sink);
    }
  }

  /** That the test can fail. */
  @Test
  void pagesThatAreClearedAndWereNotTold_areNoticed() throws Exception {
    for (int i = 0; i < 50; i++) {
      if (run(TellsNobody::new, TimeUnit.MILLISECONDS.toNanos(200)) >= 0) {
        return;
      }
    }
    fail("never noticed");
  }

  private long run(UnaryOperator<Tracker> between, long nanos) throws Exception {
    stop = false;
    try (GuestMemory memory =
        GuestMemory.over(MmuTracker.log(DirtyLog.builder().interceptTracker(between)))) {
      MemorySegment ram = memory.addSlot(0, 0, SIZE).ram();
      List<DirtyClient<GuestSlot>> clients =
          List.of(
              memory.client("a", InitialView.ALL_DIRTY),
              memory.client("b", InitialView.NONE_DIRTY));
      List<MemorySegment> copies =
          List.of(
              MemorySegment.ofArray(new byte[(int) SIZE]),
              MemorySegment.ofArray(new byte[(int) SIZE]));
      List<FutureTask<Void>> writers =
          List.of(
              start(() -> storeAll(ram, SEED + 1)),
              start(() -> atomics(ram, SEED + 2)),
              start(() -> bulk(ram, SEED + 3)),
              start(() -> disturb(memory, ram, SEED + 4)));
      long end = System.nanoTime() + nanos;
      long takes = 0;
      while (System.nanoTime() < end) {
        if (takes % 10 == 0) { // its RAM stays where it is
          try (SlotTransaction change = memory.beginTransaction()) {
            change.move(0, takes % 20 == 0 ? SIZE : 0).commit();
          }
        }
        int which = (int) (takes++ % 3) == 0 ? 1 : 0;
        take(clients.get(which), copies.get(which), takes % 5 == 0 ? 100 : Long.MAX_VALUE);
      }
      stop = true;
      for (FutureTask<Void> writer : writers) {
        finish(writer);
      }
      long lost = -1;
      for (int i = 0; i < clients.size(); i++) {
        take(clients.get(i), copies.get(i), Long.MAX_VALUE);
        lost = Math.max(lost, copies.get(i).mismatch(ram));
      }
      System.out.println("MMU stress: " + takes + " takes, seed " + SEED + ", " + disturbed);
      return lost;
    }
  }

  private static void take(DirtyClient<GuestSlot> client, MemorySegment copy, long most) {
    try (DirtyBatch<GuestSlot> batch =
        most == Long.MAX_VALUE ? client.take() : client.takeAtMost(most)) {
      batch.forEachRun((slot, first, count) ->
          MemorySegment.copy(slot.pages(first, count), 0, copy, first * PAGE, count * PAGE));
      batch.commit();
    }
  }

  private static FutureTask<Void> start(Callable<Void> work) {
    FutureTask<Void> task = new FutureTask<>(work);
    Thread.ofPlatform().daemon().start(task);
    return task;
  }

  private static void finish(FutureTask<Void> writer) throws Exception {
    try {
      writer.get();
    } catch (ExecutionException e) {
      throw new AssertionError(e.getCause());
    }
  }

  private Void storeAll(MemorySegment ram, long seed) {
    Random random = new Random(seed);
    for (long i = 0; !stop; i++) {
      ram.set(ValueLayout.JAVA_LONG, random.nextLong(SIZE / 8) * 8, i);
    }
    return null;
  }

  private Void atomics(MemorySegment ram, long seed) {
    Random random = new Random(seed);
    while (!stop) {
      long ignored = (long) LONG.getAndAdd(ram, random.nextLong(SIZE / 64) * 64, 1L);
    }
    return null;
  }

  /** Has the kernel disturb parts of the RAM; and discards some, which has to be marked. */
  private Void disturb(GuestMemory memory, MemorySegment ram, long seed)
      throws IOException, InterruptedException {
    Random random = new Random(seed);
    Map<String, Integer> done = new TreeMap<>();
    List<Disturber> all = DISTURBERS.isEmpty() ? List.of(Disturber.values()) : DISTURBERS;
    while (!stop) {
      long first = random.nextLong(SIZE / PAGE);
      long count = 1 + random.nextLong(Math.min(1024, SIZE / PAGE - first));
      MemorySegment pages = ram.asSlice(first * PAGE, count * PAGE);
      Disturber disturber = all.get(random.nextInt(all.size()));
      if (DISTURBERS.isEmpty() && random.nextInt(8) == 0) {
        AnonymousMemory.discard(pages);
        mark(memory, first * PAGE, count * PAGE);
        done.merge("DISCARD", 1, Integer::sum);
      } else if (disturber.disturb(pages)) {
        done.merge(disturber.name(), 1, Integer::sum);
      }
    }
    disturbed = done;
    return null;
  }

  private static void mark(GuestMemory memory, long offset, long length) {
    for (; ; ) {
      try {
        memory.device().mark(memory.slot(0).guestAddress() + offset, length);
        return;
      } catch (GuestAccessException e) {
        Thread.onSpinWait(); // the slot was moved in between
      }
    }
  }

  /** Copies of the C library's, and system calls. */
  private Void bulk(MemorySegment ram, long seed) throws IOException {
    Random random = new Random(seed);
    byte[] content = new byte[3 * PAGE];
    random.nextBytes(content);
    Path file = Files.write(directory.resolve("content"), content);
    try (FileChannel channel = FileChannel.open(file)) {
      while (!stop) {
        long at = random.nextLong(SIZE - content.length);
        MemorySegment part = ram.asSlice(at, random.nextInt(content.length));
        switch (random.nextInt(3)) {
          case 0 -> part.fill((byte) random.nextInt());
          case 1 -> part.copyFrom(ram.asSlice(SIZE / 2, part.byteSize()));
          default -> {
            int ignored = channel.read(part.asByteBuffer(), random.nextInt(100));
          }
        }
      }
    }
    return null;
  }
}
