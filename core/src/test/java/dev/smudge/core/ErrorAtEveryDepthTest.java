package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.watch.PageWatch;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * A stack that overflows somewhere inside a write, and whose owner catches that, as runtimes do:
 * what has been written is dirty. Also where all of it is watched; and then watches tell afterwards
 * as before.
 */
@Timeout(300)
@Tag("long")
class ErrorAtEveryDepthTest {
  private static final int PAGE = 4096;
  private static final int PAGES = 256;
  private static final int ROUNDS = Boolean.getBoolean("smudge.all") ? 20 : 6;

  /** One way to write a page. */
  interface Write {
    void run(GuestMemory memory, Vcpu vcpu, long address, int value);
  }

  record Way(String name, Write write) {
    @Override
    public String toString() {
      return name;
    }
  }

  static Stream<Arguments> ways() {
    byte[] bytes = new byte[PAGE + 20];
    return Stream.of(
            new Way("putInt", (m, v, a, n) -> v.putInt(a, n)),
            new Way("over a border", (m, v, a, n) -> v.putLong(a - 3, n)),
            new Way(
                "write",
                (m, v, a, n) -> {
                  bytes[0] = (byte) n;
                  v.write(a, bytes, 0, 20);
                }),
            new Way("fill", (m, v, a, n) -> v.fill(a + 5, 20, (byte) n)),
            new Way("getAndAdd", (m, v, a, n) -> v.atomics().getAndAdd(a, 4, n)),
            new Way("device", (m, v, a, n) -> m.device().putInt(a, n)),
            new Way("device fill", (m, v, a, n) -> m.device().fill(a + 9, 20, (byte) n)))
        .flatMap(way -> Stream.of(LogKind.values()).map(kind -> new Object[] {way, kind}))
        .flatMap(of -> Stream.of(false, true).map(w -> Arguments.of(of[0], of[1], w)));
  }

  @ParameterizedTest
  @MethodSource("ways")
  void write_stackOverflowsInIt_whatWasWrittenIsDirty(Way way, LogKind kind, boolean watched)
      throws Exception {
    Throwable[] failed = new Throwable[1];
    Thread thread =
        new Thread(
            null,
            () -> {
              try {
                overflow(way, kind, watched);
              } catch (Throwable e) {
                failed[0] = e;
              }
            },
            "guest",
            512 << 10);
    thread.start();
    thread.join();
    if (failed[0] != null) {
      throw new AssertionError(way + " " + kind, failed[0]);
    }
  }

  private static void overflow(Way way, LogKind kind, boolean watched) {
    try (Arena arena = Arena.ofShared();
        GuestMemory memory = GuestMemory.over(kind.builder().build())) {
      MemorySegment ram = arena.allocate((long) PAGES * PAGE, PAGE);
      // Slots that adjoin, at a border in the middle of the pages.
      memory.addSlot(0, 0, ram.asSlice(0, (long) PAGES / 2 * PAGE), PAGE);
      memory.addSlot(1, (long) PAGES / 2 * PAGE, ram.asSlice((long) PAGES / 2 * PAGE), PAGE);
      Vcpu vcpu = memory.addVcpu();
      DirtyClient<GuestSlot> client = memory.client("test", InitialView.NONE_DIRTY);
      MemorySegment copy = arena.allocate((long) PAGES * PAGE, PAGE);
      long[] told = new long[PAGES];
      List<PageWatch> watches = new ArrayList<>();
      for (GuestSlot slot : watched ? memory.slots() : List.<GuestSlot>of()) {
        watches.add(memory.watchPages(slot, (at, length) -> told[(int) (at / PAGE)]++));
      }
      // A class of the JDK whose initializer runs out of stack stays unusable.
      way.write.run(memory, vcpu, (long) PAGES / 2 * PAGE, 1);
      vcpu.safepoint();
      take(client, copy);
      int[] overflows = new int[1];
      int[] next = {1};
      for (int round = 0; round < ROUNDS; round++) {
        arm(watches);
        descend(
            overflows,
            () -> {
              int n = next[0]++;
              long page = way.name.equals("over a border") ? PAGES / 2 : 1 + n % (PAGES - 2);
              way.write.run(memory, vcpu, page * PAGE, n);
            });
        vcpu.safepoint();
        memory.log().rcu().synchronize(); // no section is left behind
        take(client, copy);
        long differs = ram.mismatch(copy);
        assertEquals(
            -1, differs, "written and not dirty, round " + round + ": page " + differs / PAGE);
        arm(watches);
        for (int page = 1; watched && page < PAGES - 1; page++) {
          long before = told[page];
          vcpu.putByte((long) page * PAGE + 64, (byte) round);
          assertEquals(before + 1, told[page], "armed and not told: page " + page);
        }
      }
      watches.forEach(PageWatch::close);
      assertTrue(overflows[0] >= ROUNDS, "the stack overflowed " + overflows[0] + " times");
      vcpu.close();
    }
  }

  private static void arm(List<PageWatch> watches) {
    long half = (long) PAGES / 2 * PAGE;
    for (int i = 0; i < watches.size(); i++) {
      watches.get(i).arm(i * half, half);
    }
  }

  /** Writes at every depth on the way back from where the stack has ended. */
  @SuppressWarnings("InfiniteRecursion") // until the stack ends
  private static void descend(int[] overflows, Runnable write) {
    try {
      descend(overflows, write);
    } catch (StackOverflowError e) {
      overflows[0]++;
    }
    try {
      write.run();
    } catch (StackOverflowError e) {
      overflows[0]++;
    }
  }

  private static void take(DirtyClient<GuestSlot> client, MemorySegment copy) {
    try (DirtyBatch<GuestSlot> batch = client.take()) {
      batch.forEachRun((slot, first, count) ->
          MemorySegment.copy(
              slot.pages(first, count), 0, copy, slot.guestAddress() + first * PAGE, count * PAGE));
      batch.commit();
    }
  }
}
