package dev.smudge.snapshot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/**
 * A store whose disk is full, at any byte of a compaction: a process may write so many KiB to a
 * file ({@code ulimit -f}), and the system refuses the rest.
 */
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@EnabledOnOs(OS.LINUX)
@Tag("long")
class FullDiskTest {
  private static final int STATES = 8;
  private static final int RUNS = Boolean.getBoolean("smudge.all") ? 24 : 8;

  @TempDir Path directory;

  /** Compacts a store where that may fail, and then looks at its states. */
  public static void main(String[] args) throws Exception {
    Console console = new Console();
    try (SnapshotStore<LogSlot> store = open(console, Path.of(args[0]))) {
      try {
        store.compact();
        System.out.println("compacted");
      } catch (IOException e) {
        System.out.println("refused");
      }
      check(store, console);
    }
  }

  @Test
  void compact_fileCannotGrowBeyondAnySize_storeIsAsBefore() throws Exception {
    Path whole = directory.resolve("whole");
    make(whole);
    Path file = directory.resolve("states");
    Files.copy(whole, file);
    long compacted;
    Console console = new Console();
    try (SnapshotStore<LogSlot> store = open(console, file)) {
      store.compact();
      compacted = store.fileBytes();
    }
    assertTrue(compacted < Files.size(whole));
    for (int run = 0; run <= RUNS; run++) {
      Files.delete(file);
      Files.copy(whole, file);
      long kib = run * ((compacted + 1023) / 1024) / RUNS;
      assertEquals(kib * 1024 < compacted ? "refused" : "compacted", compactWithin(kib, file));
      try (Stream<Path> files = Files.list(directory)) {
        assertEquals(
            List.of("states", "states.lock", "whole", "whole.lock"),
            files.map(path -> path.getFileName().toString()).sorted().toList());
      }
      try (SnapshotStore<LogSlot> store = open(console, file)) {
        assertEquals(0, store.lostBytes());
        check(store, console);
        SavingProgram.become(console, STATES);
        assertEquals(STATES, store.save());
      }
    }
  }

  /** {@return the one line that the process prints} */
  private String compactWithin(long kib, Path file) throws Exception {
    Process process =
        new ProcessBuilder(
                "sh",
                "-c",
                "ulimit -f " + kib * 2 + "; exec \"$@\"", // in blocks of 512 bytes
                "sh",
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-XX:-UsePerfData", // it is in a file
                "-cp",
                KilledProcessTest.classPath(),
                FullDiskTest.class.getName(),
                file.toString())
            .redirectErrorStream(true)
            .start();
    String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), text);
    return text.strip();
  }

  private static void make(Path file) throws IOException {
    Console console = new Console();
    try (SnapshotStore<LogSlot> store = open(console, file)) {
      for (int state = 0; state < STATES; state++) {
        SavingProgram.become(console, state);
        assertEquals(state, store.save());
      }
      for (int state = 0; state < STATES - 1; state += 2) {
        store.delete(state);
      }
    }
  }

  private static void check(SnapshotStore<LogSlot> store, Console console) throws IOException {
    assertEquals(STATES / 2, store.states().size());
    for (SnapshotStore.State state : store.states()) {
      store.restore(state.number());
      Console model = new Console();
      SavingProgram.become(model, state.number());
      assertEquals(model.content(), console.content(), () -> "state " + state.number());
    }
  }

  private static SnapshotStore<LogSlot> open(Console console, Path file) throws IOException {
    return SnapshotStore.open(
        file, console.log.client("store", InitialView.ALL_DIRTY), console, console);
  }
}
