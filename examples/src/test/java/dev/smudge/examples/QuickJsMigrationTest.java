package dev.smudge.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A real guest, moved by its dirty pages alone. */
@Timeout(600)
final class QuickJsMigrationTest {
  private static final QuickJsProgram PROGRAM = new QuickJsProgram(6);

  @Test
  void migrate_quickJsInOneJvm_isVerified() {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    PrintStream print = new PrintStream(out, true, StandardCharsets.UTF_8);
    int status =
        Migrate.run(print, print, "--calls", "4", "--warm-up", "100", "--progress", "none");
    assertEquals(MigrationRun.VERIFIED, status, out.toString(StandardCharsets.UTF_8));
  }

  /** Pages that came from the source are dirty at the destination (propolis #232). */
  @Test
  void bug25_guestMigratedTwice_printsWhatAnUninterruptedOnePrints() throws Exception {
    List<String> lines = new CopyOnWriteArrayList<>();
    try (GuestMemory first = GuestMemory.create();
        GuestMemory second = GuestMemory.create();
        GuestMemory third = GuestMemory.create()) {
      for (GuestMemory memory : List.of(first, second, third)) {
        PROGRAM.addSlots(memory);
      }
      try (DirtyClient<GuestSlot> fromFirst = first.client("first", InitialView.NONE_DIRTY);
          DirtyClient<GuestSlot> fromSecond = second.client("second", InitialView.NONE_DIRTY)) {
        byte[] state;
        try (Guest guest = run(PROGRAM.boot(new Machine(first), counting(lines, 2)), lines, 2)) {
          state = guest.state();
        }
        move(fromFirst, second);
        try (Guest guest =
            run(PROGRAM.restore(new Machine(second), state, counting(lines, 4)), lines, 4)) {
          state = guest.state();
        }
        move(fromSecond, third);
        assertEquals(-1, second.slot(0).ram().mismatch(third.slot(0).ram()));
        try (Guest guest =
            PROGRAM.restore(new Machine(third), state, (channel, line) -> lines.add(line))) {
          guest.start();
          guest.completion().join();
        }
      }
    }
    assertEquals(new UninterruptedRun().of(PROGRAM).lines(0), lines);
  }

  private CountDownLatch reached = new CountDownLatch(1);

  private GuestOutput counting(List<String> lines, int until) {
    CountDownLatch latch = new CountDownLatch(1);
    reached = latch;
    return (channel, line) -> {
      lines.add(line);
      if (lines.size() == until) {
        latch.countDown();
      }
    };
  }

  private Guest run(Guest guest, List<String> lines, int until) throws InterruptedException {
    guest.start();
    reached.await();
    guest.stop();
    assertTrue(lines.size() >= until);
    return guest;
  }

  private static void move(DirtyClient<GuestSlot> client, GuestMemory to) throws Exception {
    try (DirtyBatch<GuestSlot> batch = client.take()) {
      batch.forEachRun((slot, first, count) ->
          to.device()
              .write(slot.guestAddress() + first * slot.pageSize(), slot.pages(first, count)));
      batch.commit();
    }
  }

  /** Its RAM is compared whole, and its program goes on in the destination's JVM objects. */
  @Test
  void migrate_runningQuickJs_verified() throws Exception {
    try (Bench bench = new Bench(PROGRAM, 0)) {
      bench.assertMoved(bench.migrateAfter(1));
    }
  }

  @Test
  void restore_stateThatIsNone_isRefused() {
    try (GuestMemory memory = GuestMemory.create()) {
      PROGRAM.addSlots(memory);
      assertThrows(
          IllegalArgumentException.class,
          () -> PROGRAM.restore(new Machine(memory), new byte[3], (channel, line) -> {}));
      assertThrows(
          IllegalArgumentException.class,
          () -> PROGRAM.restore(new Machine(memory), new byte[8], (channel, line) -> {}));
    }
  }
}
