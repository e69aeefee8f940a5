package dev.smudge.mmu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.AsyncWrite;
import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.core.SlotTransaction;
import dev.smudge.core.Vcpu;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.DirtyLogBuilder;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.VcpuPause;
import dev.smudge.sync.verify.UnreportedWriteException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The MMU as the oracle of the verify mode: it names what software marks were not told of. */
@RequiresMmu
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class OracleTest {
  private static final int PAGE = 4096;
  private static final int PAGES = 2_000;
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;

  private final List<Throwable> named = new ArrayList<>();
  private final List<Throwable> reported = new ArrayList<>();
  private final GuestMemory memory = GuestMemory.over(builder().build());
  private final GuestSlot slot = memory.addSlot(1, 0, (long) PAGES * PAGE);
  private final DirtyClient<GuestSlot> client = memory.client("c", InitialView.ALL_DIRTY);

  private DirtyLogBuilder builder() {
    return DirtyLog.builder()
        .errorHandler(reported::add)
        .verifyAndReport(named::add)
        .verifyWith(MmuTracker.oracle());
  }

  @AfterEach
  void close() {
    memory.close();
    assertEquals(List.of(), reported);
  }

  private void take() {
    try (DirtyBatch<GuestSlot> batch = client.take()) {
      batch.commit();
    }
  }

  /** What nobody marks is named by the close of the last client, at the latest. */
  private List<Long> named() {
    client.close();
    return named.stream().map(e -> ((UnreportedWriteException) e).pageIndex()).sorted().toList();
  }

  @Test
  void storesThatNobodyMarks_areNamed_alsoThoseThatChangeNothing() {
    take();
    slot.ram().set(LONG, 5 * PAGE + 8, 1);
    slot.ram().set(LONG, 9 * PAGE, 0); // as it was
    memory.device().putLong(7 * PAGE, 1);
    assertEquals(List.of(5L, 9L), named());
    String message = String.valueOf(named.get(0).getMessage());
    assertTrue(
        message.startsWith(
            "page 5 of GuestSlot[1, 0x0 + 0x7d0000, pages of 4096] was written and nobody marked"
                + " it: a store came between "),
        message);
  }

  @Test
  void readsOfUntouchedPages_areNoWrites() {
    take();
    byte[] bytes = new byte[PAGES * PAGE];
    memory.device().read(0, MemorySegment.ofArray(bytes));
    take();
    slot.ram().set(LONG, 3 * PAGE, 1); // one of the pages that were read
    assertEquals(List.of(3L), named());
  }

  @Test
  void storeThatBringsAHugePage_namesNoOther() {
    GuestSlot huge = memory.addSlot(2, 1L << 30, 8 << 20);
    huge.adviseHugePages();
    take(); // the oracle looks at the slot from here on
    memory.device().putLong((1L << 30) + (4 << 20), 1);
    take();
    memory.device().putLong((1L << 30) + (6 << 20), 1);
    take();
    assertEquals(List.of(), named());
  }

  @Test
  void namedPage_isDirty_andANextUnmarkedStoreIsNamedAgain() {
    take();
    slot.ram().set(LONG, 0, 1);
    long pages = 0;
    while (named.isEmpty()) { // it has 100 ms, and a barrier
      try (DirtyBatch<GuestSlot> batch = client.take()) {
        pages = batch.pageCount();
        batch.commit();
      }
    }
    assertEquals(1, pages);
    slot.ram().set(LONG, 0, 2);
    assertEquals(List.of(0L, 0L), named());
  }

  @Test
  void everyThousandthMarkForgotten_overAStoppedGuest_allAreNamedAndNoOther() {
    SplittableRandom random = new SplittableRandom(7);
    TreeSet<Long> forgotten = new TreeSet<>();
    for (int round = 0; round < 40; round++) {
      take();
      for (int i = 0; i < 250; i++) {
        long page = random.nextInt(PAGES);
        if (round > 0 && i == 100 && round % 4 == 0) {
          forgotten.add(page);
          slot.ram().set(LONG, page * PAGE, round);
        } else if (!forgotten.contains(page)) {
          memory.device().putLong(page * PAGE, round);
        }
      }
    }
    // A page that was dirty already when its mark was forgotten is reported, and rightly not named.
    List<Long> found = named();
    assertTrue(forgotten.containsAll(found), found + " of " + forgotten);
    assertTrue(found.size() >= forgotten.size() / 2, found + " of " + forgotten);
  }

  @Test
  void guestThatMarksAll_besideTakes_isNeverNamed() throws Exception {
    AtomicBoolean over = new AtomicBoolean();
    AtomicReference<Throwable> failed = new AtomicReference<>();
    List<Thread> threads = new ArrayList<>();
    for (int t = 0; t < 2; t++) {
      int seed = t;
      Thread thread =
          new Thread(() -> {
            SplittableRandom random = new SplittableRandom(seed);
            try (Vcpu vcpu = memory.addVcpu()) {
              while (!over.get()) {
                vcpu.putLong(random.nextInt(PAGES * PAGE / 8) * 8L, random.nextLong());
                vcpu.atomics().getAndAdd(random.nextInt(PAGES) * (long) PAGE, 8, 1);
                vcpu.safepoint();
              }
              vcpu.offline();
            } catch (Throwable e) {
              failed.set(e);
            }
          });
      thread.start();
      threads.add(thread);
    }
    SplittableRandom random = new SplittableRandom(3);
    for (int round = 0; round < 300; round++) {
      take();
      memory.device().fill(random.nextInt(PAGES) * (long) PAGE, PAGE, (byte) round);
      if (round % 10 == 0) {
        try (AsyncWrite write = memory.device().beginWrite(20L * PAGE, 3 * PAGE)) {
          write.target().fill((byte) round);
          take();
        }
      }
      if (round % 50 == 49) {
        change(round);
      }
    }
    over.set(true);
    for (Thread thread : threads) {
      thread.join();
    }
    assertEquals(null, failed.get());
    assertEquals(List.of(), named());
  }

  private void change(int round) {
    try (SlotTransaction change = memory.beginTransaction()) {
      if (round % 100 == 49) {
        change.split(1, 1_000L * PAGE, 2);
      } else {
        change.merge(1, 2);
      }
      change.commit().forEach(removed -> removed.close());
    }
  }

  @Test
  void slotsThatTheMmuCannotTrack_areComparedWithCopies_andTheReasonIsTold() {
    byte[] array = new byte[4 * PAGE];
    memory.addSlot(5, 1L << 32, MemorySegment.ofArray(array), PAGE);
    take();
    array[PAGE + 1] = 1;
    slot.ram().set(LONG, 2 * PAGE, 1);
    client.close();
    assertEquals(2, named.size(), named.toString());
    assertTrue(
        named.stream().anyMatch(e -> String.valueOf(e.getMessage()).contains("was 0x00 and is")),
        named.toString());
    assertEquals(1, reported.size());
    assertTrue(
        String.valueOf(reported.get(0).getMessage()).contains("in the Java heap"),
        reported.toString());
    reported.clear();
  }

  @Test
  @SuppressWarnings("try") // the client and the pause are for what is inside
  void clientsThatComeAndGo_leaveNoRegistration() {
    for (int i = 0; i < 50; i++) {
      try (DirtyClient<GuestSlot> other = memory.client("o", InitialView.NONE_DIRTY);
          VcpuPause pause = memory.log().pause()) {
        slot.ram().set(LONG, (long) i * PAGE, 1);
        memory.device().mark((long) i * PAGE, 8);
      }
      if (i == 20) {
        client.close();
      }
    }
    assertEquals(List.of(), named());
  }
}
