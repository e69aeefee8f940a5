package dev.smudge.snapshot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.snapshot.stream.PageDamageException;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.testbase.StackSqueeze;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The file of a store, and what others do to it, or to the thread that uses it. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class StoreFileTest {
  private final Console console = new Console();
  private final Path file;
  private final Path directory;

  StoreFileTest(@TempDir Path directory) {
    this.directory = directory;
    this.file = directory.resolve("states");
  }

  private static SnapshotStore<LogSlot> open(Console console, Path file) throws IOException {
    return SnapshotStore.open(
        file, console.log.client("store", InitialView.ALL_DIRTY), console, console);
  }

  @BeforeEach
  void fill() {
    console.fill(0, 0, 40_000, (byte) 1);
  }

  @Test
  void close_inACallback_isRefusedAndNothingIsClosed() throws Exception {
    AtomicInteger refused = new AtomicInteger();
    try (SnapshotStore<LogSlot> store = open(console, file)) {
      long state = store.save();
      console.fill(0, 0, 40_000, (byte) 2);
      console.beforeWrite =
          () -> {
            assertThrows(IllegalStateException.class, store::close);
            refused.incrementAndGet();
          };
      store.restore(state);
      console.beforeWrite = () -> {};
      assertTrue(refused.get() > 0);
      assertEquals(1, console.ram[0][0]);
      assertThrows(IOException.class, () -> open(new Console(), file), "the lock is kept");
      console.fill(0, 0, 300, (byte) 3);
      assertEquals(state + 1, store.save());
    }
  }

  /** The file is another's by then. */
  @Test
  void anyCall_afterClose_isRefusedAndTheFileStays() throws Exception {
    SnapshotStore<LogSlot> closed = open(new Console(), file); // without states
    closed.close();
    try (SnapshotStore<LogSlot> store = open(console, file)) {
      store.save();
      assertThrows(IllegalStateException.class, closed::compact);
      assertThrows(IllegalStateException.class, closed::save);
      assertThrows(IllegalStateException.class, () -> closed.delete(0));
      assertThrows(IllegalStateException.class, () -> closed.importImage(0, file, new byte[0], ""));
      closed.close();
      store.save();
    }
    try (SnapshotStore<LogSlot> again = open(new Console(), file)) {
      assertEquals(2, again.states().size());
    }
  }

  /** Whoever closes a file gives up the locks of its process on it. */
  @Test
  void open_wasRefusedInThisProcess_anotherIsRefusedStill() throws Exception {
    try (SnapshotStore<LogSlot> store = open(console, file)) {
      store.save();
      assertThrows(IOException.class, () -> open(new Console(), file));
      Process other =
          new ProcessBuilder(
                  Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                  "-cp",
                  KilledProcessTest.classPath(),
                  SavingProgram.class.getName(),
                  file.toString(),
                  "1")
              .redirectErrorStream(true)
              .redirectOutput(directory.resolve("said").toFile())
              .start();
      try {
        assertTrue(other.waitFor(60, TimeUnit.SECONDS), "it has the store");
      } finally {
        other.destroyForcibly().waitFor();
      }
      String said = Files.readString(directory.resolve("said"), StandardCharsets.UTF_8);
      assertTrue(said.contains("is open already in another process"), said);
    }
  }

  @Test
  void open_bySymbolicLinks_isTheSameStore() throws Exception {
    Path link = directory.resolve("link");
    try {
      Files.createSymbolicLink(link, file.getFileName());
    } catch (FileSystemException | UnsupportedOperationException e) {
      Assumptions.abort("no symbolic link can be made here: " + e); // a privilege on Windows
    }
    Files.createFile(file);
    try (SnapshotStore<LogSlot> store = open(console, link)) {
      store.save();
      assertThrows(IOException.class, () -> open(new Console(), file));
      store.compact();
      store.save();
    }
    assertTrue(Files.isSymbolicLink(link));
    try (SnapshotStore<LogSlot> store = open(console, file)) {
      assertEquals(2, store.states().size());
      assertThrows(IOException.class, () -> open(new Console(), link));
    }
  }

  @Test
  void open_byALinkToAFileThatThereIsNot_isTheSameStore() throws Exception {
    Path link = directory.resolve("link");
    try {
      Files.createSymbolicLink(link, file.getFileName());
    } catch (FileSystemException | UnsupportedOperationException e) {
      Assumptions.abort("no symbolic link can be made here: " + e);
    }
    try (SnapshotStore<LogSlot> store = open(console, link)) {
      store.save();
      assertThrows(IOException.class, () -> open(new Console(), link));
      assertThrows(IOException.class, () -> open(new Console(), file));
    }
  }

  @Test
  void open_byAnotherHardLink_isRefused() throws Exception {
    Path link = directory.resolve("link");
    try (SnapshotStore<LogSlot> store = open(console, file)) {
      try {
        Files.createLink(link, file);
      } catch (FileSystemException | UnsupportedOperationException e) {
        Assumptions.abort("no link can be made here: " + e);
      }
      Exception e = assertThrows(IOException.class, () -> open(new Console(), link));
      assertTrue(e.toString().endsWith("is open already in this process, as " + file), e::toString);
      store.compact(); // the file has this name alone, from here on
      open(new Console(), link).close();
      store.save();
    }
    try (SnapshotStore<LogSlot> store = open(new Console(), link)) {
      assertEquals(0, store.states().size());
    }
  }

  @Test
  void open_whatIsNoFile_isRefusedAndLeavesNothing() throws Exception {
    Path device = Path.of("/dev/null");
    for (Path each : List.of(directory, device)) {
      if (Files.exists(each)) {
        Exception e = assertThrows(IOException.class, () -> open(console, each));
        assertTrue(e.toString().endsWith(": a store needs a file"), e::toString);
        assertTrue(Files.notExists(each.resolveSibling(each.getFileName() + ".lock")), "lock file");
      }
    }
    Files.createDirectory(directory.resolve("states.lock"));
    Exception e = assertThrows(IOException.class, () -> open(console, file));
    assertTrue(e.toString().contains("is in the way"), e::toString);
  }

  /** An interrupt of the thread that uses a channel closes it. */
  @Test
  void anyCall_byAnInterruptedThread_isMade() throws Exception {
    Thread.currentThread().interrupt();
    try (SnapshotStore<LogSlot> store = open(console, file)) {
      long first = store.save();
      console.fill(0, 0, 40_000, (byte) 2);
      try (SnapshotStore<LogSlot>.Capture capture = store.capture()) {
        capture.write("second");
      }
      store.restore(first);
      store.compact();
      store.delete(1);
      assertTrue(Thread.interrupted(), "the interrupt is kept");
      store.save();
      assertEquals(2, store.states().size());
    }
    try (SnapshotStore<LogSlot> store = open(new Console(), file)) {
      assertEquals(2, store.states().size());
    }
  }

  @Test
  void save_somebodyHasCutTheFileOff_saysSo() throws Exception {
    byte[] whole;
    try (SnapshotStore<LogSlot> store = open(console, file)) {
      store.save();
      whole = Files.readAllBytes(file);
      Files.write(file, new byte[100]);
      console.fill(0, 0, 40_000, (byte) 2);
      Exception e = assertThrows(PageDamageException.class, store::save);
      assertEquals(
          "the file has 100 bytes, and had "
              + whole.length
              + " when it was last written: somebody else has cut it off",
          e.getMessage());
      assertThrows(PageDamageException.class, () -> store.importImage(0, file, new byte[0], ""));
      assertEquals(100, Files.size(file));

      Files.write(file, whole);
      store.save(); // with all that was not saved before
    }
    Console other = new Console();
    try (SnapshotStore<LogSlot> store = open(other, file)) {
      store.restore(1);
      assertArrayEquals(console.ram[0], other.ram[0]);
    }
  }

  /** Where the system refuses to remove an open file, nothing of the store is to be missing. */
  @Test
  void save_somebodyHasRemovedTheFile_saysSo() throws Exception {
    try (SnapshotStore<LogSlot> store = open(console, file)) {
      store.save();
      store.save();
      console.fill(0, 0, 40_000, (byte) 2);
      if (isRemoved(file)) {
        assertThrows(NoSuchFileException.class, store::save);
        assertThrows(NoSuchFileException.class, () -> store.delete(0));
      }
      assertEquals(2, store.states().size());
      store.compact(); // writes all of it anew
      store.save();
    }
    Console other = new Console();
    try (SnapshotStore<LogSlot> store = open(other, file)) {
      store.restore(2);
      assertArrayEquals(console.ram[0], other.ram[0]);
    }
  }

  /** By a copy, which is as long, so that its length tells nothing. */
  @Test
  void save_somebodyHasReplacedTheFile_saysSo() throws Exception {
    Path copy = directory.resolve("copy");
    try (SnapshotStore<LogSlot> store = open(console, file)) {
      store.save();
      Files.copy(file, copy);
      if (isRemoved(file)) {
        Files.move(copy, file);
        console.fill(0, 0, 40_000, (byte) 2);
        Exception e = assertThrows(IOException.class, store::save);
        assertTrue(e.toString().endsWith("somebody has replaced it"), e::toString);
        assertThrows(IOException.class, () -> store.importImage(0, file, new byte[0], ""));
        assertThrows(IOException.class, store::compact);
        assertEquals(1, store.states().size());
        store.restore(0);
      }
    }
    try (SnapshotStore<LogSlot> store = open(new Console(), file)) {
      assertEquals(1, store.states().size());
    }
  }

  @Test
  void compact_anotherFileHasTheNameOfItsOwn_isRefusedAndThatFileStays() throws Exception {
    Path beside = directory.resolve("states.compact");
    byte[] text = "of the user".getBytes(StandardCharsets.UTF_8);
    try (SnapshotStore<LogSlot> store = open(console, file)) {
      store.save();
      Files.write(beside, text);
      Exception e = assertThrows(IOException.class, store::compact);
      assertTrue(e.toString().contains("was not made by a compaction"), e::toString);
      assertArrayEquals(text, Files.readAllBytes(beside));

      Files.delete(beside);
      try (SnapshotStore<LogSlot> other = open(new Console(), beside)) {
        other.save();
      }
      assertThrows(IOException.class, store::compact);
      try (SnapshotStore<LogSlot> other = open(new Console(), beside)) {
        assertEquals(1, other.states().size());
      }

      Files.delete(directory.resolve("states.compact.lock"));
      store.compact(); // over what may be left of a compaction
      assertTrue(Files.notExists(beside));
      store.save();
    }
  }

  private static boolean isRemoved(Path open) throws IOException {
    try {
      Files.delete(open);
      return true;
    } catch (NoSuchFileException e) {
      throw e;
    } catch (FileSystemException e) { // as Windows does
      return false;
    }
  }

  @Test
  void open_failsAndSoDoesTheCloseOfTheFile_theLockIsGivenBack() {
    MemoryDisk disk =
        new MemoryDisk() {
          @Override
          public void close() throws IOException {
            throw new IOException("of the close");
          }
        };
    disk.bytes = new byte[1000];
    AtomicInteger unlocked = new AtomicInteger();
    Exception e =
        assertThrows(
            PageDamageException.class,
            () ->
                SnapshotStore.over(
                    disk,
                    file,
                    unlocked::incrementAndGet,
                    console.log.client("store", InitialView.ALL_DIRTY),
                    console,
                    console));
    assertEquals("of the close", e.getSuppressed()[0].getMessage());
    assertEquals(1, unlocked.get());
  }

  /** Where the stack ends in what tidies up, too: nothing keeps others out for ever. */
  @Test
  void open_isCutShortAtManyDepths_canBeOpenedAfterThat() throws Exception {
    byte[] nonsense = new byte[1000];
    Files.write(file, nonsense);
    StackSqueeze.withSmallStack(() -> {
      assertThrows(PageDamageException.class, () -> open(console, file)); // what is linked, is
      for (int frames = 0; frames < 200; frames++) {
        try {
          StackEndsTest.calledAbove(frames, () -> open(console, file));
        } catch (PageDamageException e) {
          // It got through.
        }
        Files.delete(file);
        open(console, file).close();
        Files.write(file, nonsense);
      }
    });
  }
}
