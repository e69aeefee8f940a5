package dev.smudge.snapshot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.snapshot.stream.PageDamageException;
import dev.smudge.snapshot.stream.PageRun;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.pages.PagePort;
import dev.smudge.testbase.Seed;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * A file in which all checksums are right and some of the rest is not, as somebody writes who wants
 * harm. Every call either works or says that the file is damaged.
 */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class ForgedStoreTest {
  private static final byte[] BYTES = {0, 1, 64, Byte.MAX_VALUE, Byte.MIN_VALUE, -1};
  private static final int[] INTS = {0, 1, -1, 0xffff, 1 << 20, Integer.MAX_VALUE, 1 << 31};
  private static final int HEAD = 16; // of a run, before its pages; and of each page

  private final SplittableRandom random = Seed.random("forged store");
  private int damaged;

  /** What stands in a file. A run has no type of its own here. */
  private static final class Piece {
    final int type;
    final byte[] bytes;

    Piece(int type, byte[] bytes) {
      this.type = type;
      this.bytes = bytes;
    }

    /** With one value changed, where that is checked, and checksums that are right. */
    byte[] with(int at, byte[] value) {
      byte[] forged = bytes.clone();
      System.arraycopy(value, 0, forged, at, value.length);
      return type == 0 ? run(forged) : record(type, Arrays.copyOfRange(forged, 12, length() - 4));
    }

    int length() {
      return bytes.length;
    }

    /** {@return up to where it can be changed; what the machine has saved may be anything} */
    int end() {
      if (type == 0) {
        return HEAD + HEAD * ByteBuffer.wrap(bytes).getShort(12);
      }
      return type == StoreLayout.MACHINE ? Math.min(begin() + 8, length() - 4) : length() - 4;
    }

    int begin() {
      return type == 0 ? 0 : 12;
    }
  }

  private static int checksum(byte[] bytes, int length) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, 0, length);
    return (int) crc.getValue();
  }

  private static byte[] run(byte[] bytes) {
    ByteBuffer run = ByteBuffer.wrap(bytes);
    int end = HEAD + HEAD * (run.getShort(12) & 0xffff);
    if (end + 4 <= bytes.length) {
      run.putInt(end, checksum(bytes, end));
    }
    return bytes;
  }

  private static byte[] record(int type, byte[] body) {
    ByteBuffer record = ByteBuffer.allocate(body.length + 16).putInt(type).putInt(body.length);
    record.putInt(checksum(record.array(), 8)).put(body).putInt(checksum(body, body.length));
    return record.array();
  }

  private static List<Piece> pieces(byte[] file) throws IOException {
    List<Piece> pieces = new ArrayList<>();
    ByteBuffer bytes = ByteBuffer.wrap(file);
    for (int at = StoreLayout.HEADER_SIZE; at < file.length; ) {
      int type = bytes.getInt(at);
      int length = bytes.getInt(at + 4) + 16;
      if (!List.of(StoreLayout.BEGIN, StoreLayout.MACHINE, StoreLayout.END, StoreLayout.DELETE)
          .contains(type)) {
        PageRun run = PageRun.parse(bytes.slice(at, file.length - at));
        length = run.offset(run.count());
        type = 0;
      }
      pieces.add(new Piece(type, Arrays.copyOfRange(file, at, at + length)));
      at += length;
    }
    return pieces;
  }

  private byte[] history() throws IOException {
    Console console = new Console();
    MemoryDisk disk = new MemoryDisk();
    try (SnapshotStore<LogSlot> store = Stores.over(console, disk)) {
      for (int i = 0; i < 4; i++) {
        console.run(random);
        store.save("state " + i);
      }
      store.restore(1);
      console.run(random);
      store.save("a branch");
      store.delete(3);
    }
    return disk.bytes;
  }

  /** The file with something in the place of a piece. */
  private static byte[] file(byte[] header, List<Piece> pieces, int index, byte[]... instead) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(header, 0, StoreLayout.HEADER_SIZE);
    for (int i = 0; i < pieces.size(); i++) {
      for (byte[] each : i == index ? instead : new byte[][] {pieces.get(i).bytes}) {
        out.writeBytes(each);
      }
    }
    return out.toByteArray();
  }

  @Test
  void anyCall_valuesAreForged_worksOrSaysThatTheFileIsDamaged(@TempDir Path directory)
      throws Exception {
    byte[] whole = history();
    List<Piece> pieces = pieces(whole);
    Path image = directory.resolve("image");
    int cases = 0;
    for (int i = 0; i < pieces.size(); i++) {
      Piece piece = pieces.get(i);
      for (int at = piece.begin(); at < piece.end(); at++) {
        byte value = BYTES[random.nextInt(BYTES.length)];
        use(file(whole, pieces, i, piece.with(at, new byte[] {value})), image);
        if (at % 2 == 0 && at + 4 <= piece.end()) {
          int number = INTS[random.nextInt(INTS.length)];
          byte[] four = ByteBuffer.allocate(4).putInt(number).array();
          use(file(whole, pieces, i, piece.with(at, four)), image);
        }
        if (at % 8 == 0 && at + 8 <= piece.end()) {
          byte[] eight = ByteBuffer.allocate(8).putLong(1L << random.nextInt(64)).array();
          use(file(whole, pieces, i, piece.with(at, eight)), image);
        }
        cases++;
      }
    }
    assertTrue(damaged > cases / 2, damaged + " calls of " + cases + " files find damage");
  }

  @Test
  void anyCall_recordsAreOfOtherLengthsOrMissingOrTwice_likewise(@TempDir Path directory)
      throws Exception {
    byte[] whole = history();
    List<Piece> pieces = pieces(whole);
    Path image = directory.resolve("image");
    for (int i = 0; i < pieces.size(); i++) {
      Piece piece = pieces.get(i);
      for (int length = 0; piece.type != 0 && length < piece.length() - 16; length++) {
        byte[] body = Arrays.copyOfRange(piece.bytes, 12, 12 + length);
        use(file(whole, pieces, i, record(piece.type, body)), image);
      }
      use(file(whole, pieces, i), image);
      for (Piece other : pieces) {
        use(file(whole, pieces, i, other.bytes), image);
        use(file(whole, pieces, i, other.bytes, piece.bytes), image);
      }
    }
    assertTrue(damaged > 100, damaged + " are damaged");
  }

  /** The next state would have a number below all others, and could not be found later. */
  @Test
  void save_theLastNumberOfAllIsUsed_saysThatTheFileIsDamaged() throws Exception {
    for (long number : new long[] {Long.MAX_VALUE - 1, Long.MAX_VALUE}) {
      MemoryDisk disk = new MemoryDisk();
      byte[] delete = record(StoreLayout.DELETE, ByteBuffer.allocate(8).putLong(number).array());
      disk.bytes = file(history(), List.of(new Piece(0, new byte[0])), 0, delete);
      SnapshotStore<LogSlot> store = Stores.over(new Console(), disk);
      if (number < Long.MAX_VALUE) {
        assertEquals(Long.MAX_VALUE, store.save());
      }
      assertThrows(PageDamageException.class, store::save);
      assertEquals(Stores.numbers(store), Stores.numbers(Stores.over(new Console(), disk.copy())));
    }
  }

  /** Such a state would be found damaged later. */
  @Test
  void save_portTellsOtherSlotsThanBefore_isRefusedAndTheFileStaysRight() throws Exception {
    Console console = new Console();
    int[] first = {0}; // number of the first slot
    PagePort.OwnRam lying =
        new Console.Port(console) {
          @Override
          public int slotId(LogSlot slot) {
            return first[0] + slot.id();
          }
        };
    MemoryDisk disk = new MemoryDisk();
    SnapshotStore<LogSlot> store =
        SnapshotStore.over(
            disk,
            Path.of("memory"),
            () -> {},
            console.log.client("store", InitialView.ALL_DIRTY),
            lying,
            console);
    store.save();
    first[0] = 7;
    console.poke(0, 5, (byte) 1);
    assertThrows(IllegalStateException.class, store::save);
    first[0] = 0;
    store.save();
    assertEquals(Stores.numbers(store), Stores.numbers(Stores.over(new Console(), disk.copy())));
  }

  private interface Call {
    void make() throws IOException;
  }

  /** Whatever a call says beside that is a failure of the test. */
  private void make(Call call) throws IOException {
    try {
      call.make();
    } catch (PageDamageException e) {
      damaged++;
    } catch (IllegalStateException | IllegalArgumentException e) { // which has what there is
      String message = String.valueOf(e.getMessage());
      assertTrue(
          message.contains("slots are not those of state") || message.contains("has no slot"),
          message);
    }
  }

  private void use(byte[] file, Path image) throws IOException {
    MemoryDisk disk = new MemoryDisk();
    disk.bytes = file;
    List<SnapshotStore<LogSlot>> opened = new ArrayList<>();
    Console console = new Console();
    make(() ->
        opened.add(
            SnapshotStore.over(
                disk,
                image.resolveSibling("store"),
                () -> {},
                console.log.client("store", InitialView.ALL_DIRTY),
                console,
                console)));
    for (SnapshotStore<LogSlot> store : opened) {
      for (long state : Stores.numbers(store)) {
        make(() -> store.forEachRunSince(state, (slot, first, count) -> {}));
        make(() -> store.restore(state));
      }
      console.poke(0, 5, (byte) 1);
      make(store::save);
      for (long state : Stores.numbers(store)) {
        if (random.nextInt(40) == 0) { // files
          make(() -> store.exportImage(state, 0, image));
          Files.deleteIfExists(image);
          make(store::compact);
          break;
        }
      }
      store.close();
    }
  }
}
