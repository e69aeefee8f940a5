package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.ArmableBitmap;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.OutputStream;
import java.io.StreamCorruptedException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.zip.CRC32C;
import java.util.zip.CheckedOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What is dirty for a client as a set: looked at, forked off, exported and imported. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class DirtySetTest {
  private static final int PAGE = 4096;

  private final DirtyLog log = DirtyLog.create();
  private final LogSlot low = log.addSlot(7, 100, PAGE);
  private final LogSlot high = log.addSlot(3, 1 << 20, PAGE);

  private void write(LogSlot slot, long... pages) {
    for (long page : pages) {
      log.mark(slot, page * PAGE, 1);
    }
  }

  private static List<String> look(DirtyClient<LogSlot> client) {
    List<String> runs = new ArrayList<>();
    client.forEachDirtyRun((slot, first, count) -> runs.add(slot.id() + ":" + first + "+" + count));
    return runs;
  }

  private static List<String> take(DirtyClient<LogSlot> client) {
    List<String> runs = new ArrayList<>();
    try (DirtyBatch<LogSlot> batch = client.take()) {
      batch.forEachRun((slot, first, count) -> runs.add(slot.id() + ":" + first + "+" + count));
      batch.commit();
    }
    return runs;
  }

  private static byte[] export(DirtyClient<LogSlot> client) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    client.exportDirty(bytes);
    return bytes.toByteArray();
  }

  @Test
  void look_findsWhatIsDirtyInOrder_andTakesNothing() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    write(high, 5, 6, 1 << 19);
    write(low, 99);
    List<String> expected = List.of("7:99+1", "3:5+2", "3:524288+1");
    assertEquals(expected, look(client));
    assertEquals(expected, look(client));
    assertEquals(4, client.dirtyPages());
    assertEquals(expected, take(client));
    assertEquals(List.of(), look(client));
  }

  @Test
  void look_whileABatchIsOpen_findsWhatIsNotAcknowledged() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    write(low, 1, 2, 3);
    try (DirtyBatch<LogSlot> batch = client.take()) {
      batch.acknowledge(low, 2, 1);
      write(low, 50);
      batch.forEachRun(
          (slot, first, count) -> assertEquals(List.of("7:1+1", "7:3+1", "7:50+1"), look(client)));
      assertEquals(2, batch.pageCount());
    }
    assertEquals(List.of("7:1+1", "7:3+1", "7:50+1"), take(client));
  }

  @Test
  void look_whileABatchHoldsASlotThatWasReplaced_findsThePagesOfItsHeir() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    write(low, 1, 60, 99);
    try (DirtyBatch<LogSlot> batch = client.take()) {
      batch.acknowledge(low, 60, 1);
      SlotChange change = log.change();
      LogSlot heir = change.add(8, 50, PAGE);
      change.remove(low).carry(low, 50, heir, 0, 50).commit();
      // What was taken is dirty in the batch; what no slot took over is nobody's.
      assertEquals(List.of("8:49+1"), look(client));
      SlotChange again = log.change();
      LogSlot second = again.add(9, 60, PAGE);
      again.remove(heir).carry(heir, 0, second, 10, 50).commit();
      List<String> expected = List.of("9:0+10", "9:59+1"); // what is new is dirty too
      assertEquals(expected, look(client));
      DirtyClient<LogSlot> fork = client.fork("f");
      assertEquals(expected, take(fork));
    }
    assertEquals(List.of("9:0+10", "9:59+1"), take(client));
  }

  @Test
  void look_whoseConsumerThrows_throwsThat_andTheNextCallWorks() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    write(low, 1);
    assertThrows(
        IOException.class,
        () ->
            client.forEachDirtyRun((slot, first, count) -> {
              throw new IOException("full");
            }));
    AtomicBoolean released = new AtomicBoolean();
    log.change().remove(low, () -> released.set(true)).commit();
    assertTrue(released.get(), "the look has let its slots go");
    assertEquals(List.of(), look(client));
  }

  @Test
  void look_keepsASlotUntilItHasReturned() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    write(low, 1);
    AtomicBoolean released = new AtomicBoolean();
    client.forEachDirtyRun((slot, first, count) -> {
      log.change().remove(low, () -> released.set(true)).commit();
      assertEquals(false, released.get(), "its content may be read here still");
    });
    assertTrue(released.get());
  }

  @Test
  void fork_afterACommit_seesWhatWasWrittenSince_forSeveralAtOnce() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    List<DirtyClient<LogSlot>> since = new ArrayList<>();
    for (int day = 0; day < 3; day++) {
      take(client);
      since.add(client.fork("since day " + day));
      write(low, 10L * day);
    }
    take(client);
    assertEquals(List.of("7:0+1", "7:10+1", "7:20+1"), look(since.get(0)));
    assertEquals(List.of("7:10+1", "7:20+1"), look(since.get(1)));
    assertEquals(List.of("7:20+1"), look(since.get(2)));
    client.close();
    write(low, 77);
    assertEquals(List.of("7:20+1", "7:77+1"), take(since.get(2)));
    assertEquals(List.of("7:10+1", "7:20+1", "7:77+1"), look(since.get(1)));
  }

  @Test
  void closedClientOrLog_refusesAll_andThereIsNoNewClient() throws IOException {
    DirtyClient<LogSlot> client = log.client("gone", InitialView.NONE_DIRTY);
    byte[] bytes = export(client);
    client.close();
    List<org.junit.jupiter.api.function.Executable> calls =
        List.of(
            () -> look(client),
            () -> client.fork("f"),
            () -> export(client),
            () -> client.importDirty(new ByteArrayInputStream(bytes)));
    for (var call : calls) {
      assertEquals(
          "client 'gone' is closed", assertThrows(IllegalStateException.class, call).getMessage());
    }
    log.close();
    for (var call : calls) {
      assertThrows(IllegalStateException.class, call);
    }
  }

  @Test
  void exportThenImport_inAnotherLog_isTheSameSet_andNothingMoreIsRead() throws IOException {
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    write(low, 0, 1, 2, 99);
    for (int page = 1; page < 1 << 20; page += page) {
      write(high, page, (1 << 20) - page);
    }
    byte[] bytes = export(client);
    assertTrue(bytes.length < 300, bytes.length + " bytes");
    byte[] more = Arrays.copyOf(bytes, bytes.length + 1);
    more[bytes.length] = 42;

    DirtyLog later = DirtyLog.create();
    LogSlot added = later.addSlot(1, 10, PAGE);
    later.addSlot(3, 1 << 20, PAGE);
    later.addSlot(7, 100, PAGE);
    DirtyClient<LogSlot> restarted = later.client("r", InitialView.NONE_DIRTY);
    DirtyClient<LogSlot> other = later.client("o", InitialView.NONE_DIRTY);
    later.mark(added, 0, 1);
    ByteArrayInputStream in = new ByteArrayInputStream(more);
    restarted.importDirty(in);
    assertEquals(42, in.read());
    List<String> all = new ArrayList<>(List.of("1:0+10"));
    look(client).stream().filter(run -> run.startsWith("3")).forEach(all::add);
    look(client).stream().filter(run -> run.startsWith("7")).forEach(all::add);
    assertEquals(all, look(restarted));
    assertEquals(List.of("1:0+1"), look(other));
  }

  @Test
  void import_ofBytesThatAreDamagedAnywhere_isRefused_andNothingIsChanged() throws IOException {
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    write(low, 1, 2, 3, 50);
    write(high, 1, 100_000, 100_001);
    byte[] bytes = export(client);
    DirtyClient<LogSlot> reader = log.client("r", InitialView.NONE_DIRTY);
    for (int i = 0; i < bytes.length; i++) {
      for (int bit = 0; bit < 8; bit++) {
        byte[] damaged = bytes.clone();
        damaged[i] ^= (byte) (1 << bit);
        IOException e =
            assertThrows(
                IOException.class,
                () -> reader.importDirty(new ByteArrayInputStream(damaged)),
                "bit " + bit + " of byte " + i);
        assertTrue(String.valueOf(e.getMessage()).contains("exported dirty pages"), e.getMessage());
        assertTrue(e instanceof StreamCorruptedException || e instanceof EOFException, "" + e);
      }
      byte[] cut = Arrays.copyOf(bytes, i);
      EOFException e =
          assertThrows(EOFException.class, () -> reader.importDirty(new ByteArrayInputStream(cut)));
      assertTrue(String.valueOf(e.getMessage()).contains("end too early"), e.getMessage());
    }
    assertEquals(List.of(), look(reader));
    reader.importDirty(new ByteArrayInputStream(bytes));
    assertEquals(look(client), look(reader));
  }

  /** Checksums are right, and so few bytes stand for more pages than there is memory for. */
  @Test
  void import_forgedSlotOfTheLargestSize_isRefusedBeforeItsPagesAreRead() throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    CRC32C sum = new CRC32C();
    DataOutputStream out = new DataOutputStream(new CheckedOutputStream(bytes, sum));
    out.write(export(log.client("c", InitialView.NONE_DIRTY)), 0, 8); // what it is
    out.writeInt(1);
    out.writeInt(low.id());
    out.writeLong(ArmableBitmap.MAX_PAGES);
    out.writeLong(PAGE);
    out.writeInt((int) sum.getValue());
    out.write(1); // one run, from page 0 on
    out.write(0);
    for (long rest = ArmableBitmap.MAX_PAGES; rest > 0; rest >>>= 7) {
      out.write((int) ((rest & 0x7f) | (rest < 0x80 ? 0 : 0x80)));
    }
    out.writeInt((int) sum.getValue());
    DirtyClient<LogSlot> reader = log.client("r", InitialView.NONE_DIRTY);
    byte[] forged = bytes.toByteArray();
    assertThrows(
        IllegalArgumentException.class, () -> reader.importDirty(new ByteArrayInputStream(forged)));
    assertEquals(List.of(), look(reader));
  }

  @Test
  void import_ofOtherSlots_isRefusedWithBothGeometries_andNothingIsChanged() throws IOException {
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    byte[] bytes = export(client);
    for (int kind = 0; kind < 3; kind++) {
      DirtyLog other = DirtyLog.create();
      other.addSlot(3, 1 << 20, PAGE);
      if (kind > 0) {
        other.addSlot(7, kind == 1 ? 101 : 100, kind == 1 ? PAGE : 2 * PAGE);
      }
      DirtyClient<LogSlot> reader = other.client("r", InitialView.NONE_DIRTY);
      IllegalArgumentException e =
          assertThrows(
              IllegalArgumentException.class,
              () -> reader.importDirty(new ByteArrayInputStream(bytes)));
      assertEquals(
          "the exported dirty pages have slot 7 of 100 pages of 4096, the log has "
              + List.of(
                      "no slot 7", "LogSlot[7, 101 pages of 4096]", "LogSlot[7, 100 pages of 8192]")
                  .get(kind),
          e.getMessage());
      assertEquals(List.of(), look(reader));
    }
  }

  @Test
  void export_toAStreamThatFails_throwsThat_andNothingIsLost() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    write(low, 1, 3);
    for (int most = 0; most < 60; most++) {
      int fits = most;
      IOException e =
          assertThrows(
              IOException.class,
              () ->
                  client.exportDirty(
                      new OutputStream() {
                        private int written;

                        @Override
                        public void write(int b) throws IOException {
                          if (written++ == fits) {
                            throw new IOException("full at " + fits);
                          }
                        }
                      }));
      assertEquals("full at " + most, e.getMessage());
    }
    assertEquals(List.of("7:1+1", "7:3+1"), take(client));
  }

  /**
   * A vCPU writes, one thread takes, and forks a client off after a commit, whose state it keeps.
   * Whatever differs from that state is dirty for the fork.
   */
  @ParameterizedTest
  @EnumSource(Mode.class)
  @SuppressWarnings("try") // the pause is for what is inside
  void fork_besideAVcpuThatWrites_missesNoWriteSinceTheState(Mode mode) {
    DirtyLog racing = mode.log();
    int pages = 300;
    LogSlot slot = racing.addSlot(0, pages, 1);
    long[] ram = new long[pages];
    AtomicBoolean over = new AtomicBoolean();
    try (GuestThread guest = new GuestThread("guest")) {
      LogVcpu self = racing.addVcpu();
      DirtyClient<LogSlot> client = racing.client("c", InitialView.ALL_DIRTY);
      Future<?> writes =
          guest.begin(() -> {
            for (long value = 1; !over.get(); value++) {
              self.safepoint();
              int page = (int) (value * 7919 % pages);
              ram[page] = value;
              self.mark(slot, page, 1);
            }
            self.close();
          });
      long[] state = new long[pages];
      for (int round = 0; round < 300; round++) {
        DirtyClient<LogSlot> fork;
        try (DirtyBatch<LogSlot> batch = client.take()) {
          int part = round % 3; // acknowledged before the fork: all, none, some
          batch.forEachRun((s, first, count) -> {
            if (part == 0 || (part == 2 && first % 2 == 0)) {
              System.arraycopy(ram, (int) first, state, (int) first, (int) count);
              batch.acknowledge(s, first, count);
            }
          });
          fork = client.fork("f" + round);
        }
        long[] copy = state.clone();
        if (round % 2 == 0) {
          take(client); // arms what is dirty for the fork too
        }
        try (VcpuPause pause = racing.pause();
            DirtyBatch<LogSlot> batch = fork.take()) {
          batch.forEachRun((s, first, count) ->
              System.arraycopy(ram, (int) first, copy, (int) first, (int) count));
          assertEquals(-1, Arrays.mismatch(ram, copy), "lost for the fork of round " + round);
        }
        fork.close();
        if (round % 2 == 0) {
          client.close();
          client = racing.client("c", InitialView.ALL_DIRTY);
        }
      }
      over.set(true);
      while (!writes.isDone()) {
        take(client); // it may wait for room in its ring
      }
      GuestThread.end(writes);
    }
  }
}
