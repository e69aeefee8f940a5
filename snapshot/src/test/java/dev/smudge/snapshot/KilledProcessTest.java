package dev.smudge.snapshot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.testbase.Seed;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A process that saves states is killed at any moment, and what it leaves is opened here. */
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@Tag("long")
class KilledProcessTest {
  /** At least so many kills, and so many of them in the middle of a state. */
  private static final int KILLS = Boolean.getBoolean("smudge.all") ? 16 : 8;

  private static final int TORN = KILLS / 4;

  private final Path file;

  private final SplittableRandom random = Seed.random("killed");

  /** States that the store has to have, and has: also of the rounds before. */
  private final TreeSet<Long> saved = new TreeSet<>();

  private long doubtful = -1; // being deleted when the process was killed; -1: none

  KilledProcessTest(@TempDir Path directory) {
    this.file = directory.resolve("states");
  }

  @Test
  void killedAtAnyMoment_everyStateThatWasSavedIsThere_andNoneIsWrong() throws Exception {
    int torn = 0;
    int kills = 0;
    for (; kills < KILLS || torn < TORN; kills++) {
      runAndKill();
      torn += check() ? 1 : 0;
    }
    System.out.println(
        kills + " kills, " + torn + " in the middle of a state; " + saved.size() + " states");
  }

  private void runAndKill() throws Exception {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-cp",
                classPath(),
                SavingProgram.class.getName(),
                file.toString(),
                String.valueOf(random.nextLong()))
            .redirectErrorStream(true)
            .start();
    doubtful = -1;
    List<String> said = new ArrayList<>();
    try (BufferedReader output =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      said.add(String.valueOf(output.readLine()));
      assertFalse(process.waitFor(random.nextInt(400_000), TimeUnit.MICROSECONDS), said::toString);
      long size = Files.size(file);
      if (random.nextBoolean()) { // at its next write
        while (Files.size(file) == size && process.isAlive()) {
          Thread.onSpinWait();
        }
      }
      assertTrue(process.toHandle().destroyForcibly()); // that of Process closes the stream too
      process.waitFor();
      output.lines().forEach(said::add);
    } finally {
      process.destroyForcibly();
    }
    assertEquals("open 0", said.remove(0), said::toString);
    said.forEach(this::heard);
  }

  private void heard(String line) {
    String[] words = line.split(" ", -1);
    assertEquals(2, words.length, line);
    long state = Long.parseLong(words[1]);
    doubtful = -1;
    switch (words[0]) {
      case "saved" -> saved.add(state);
      case "deleting" -> {
        saved.remove(state);
        doubtful = state;
      }
      case "deleted" -> {}
      default -> throw new AssertionError(line);
    }
  }

  /** Returns whether there was a part of a state at the end of the file. */
  private boolean check() throws IOException {
    boolean torn;
    Console console = new Console();
    try (SnapshotStore<LogSlot> store = open(console)) {
      torn = store.lostBytes() > 0;
      Set<Long> there = numbers(store);
      assertTrue(there.containsAll(saved), () -> "saved " + saved + "; there: " + there);
      Set<Long> more = new TreeSet<>(there);
      more.removeAll(saved);
      more.remove(doubtful);
      long last = saved.isEmpty() ? -1 : saved.last();
      assertTrue(
          more.isEmpty() || (more.size() == 1 && more.contains(last + 1)),
          () -> "more than saved: " + more);
      checkStates(store, console);
      saved.clear();
      saved.addAll(there);
      if (random.nextBoolean()) { // otherwise the next process has to cut the file
        goOn(store, console);
      }
    }
    try (SnapshotStore<LogSlot> store = open(console)) {
      assertEquals(saved, numbers(store));
      checkStates(store, console);
    }
    return torn;
  }

  /** The next calls work; a deletion writes less than what may be cut off. */
  private void goOn(SnapshotStore<LogSlot> store, Console console) throws IOException {
    if (saved.size() > 1) {
      store.delete(saved.first()); // the current one is the last
      saved.remove(saved.first());
      assertEquals(Files.size(file), store.fileBytes());
    }
    long next = saved.isEmpty() ? 0 : saved.last() + 1;
    SavingProgram.become(console, next);
    assertEquals(next, store.save(SavingProgram.name(next)));
    saved.add(next);
    assertEquals(Files.size(file), store.fileBytes());
  }

  private static void checkStates(SnapshotStore<LogSlot> store, Console console)
      throws IOException {
    for (SnapshotStore.State state : store.states()) {
      assertEquals(SavingProgram.name(state.number()), state.name());
      store.restore(state.number());
      Console model = new Console();
      SavingProgram.become(model, state.number());
      assertEquals(model.content(), console.content(), () -> "state " + state.number());
    }
  }

  private static Set<Long> numbers(SnapshotStore<LogSlot> store) {
    Set<Long> numbers = new TreeSet<>();
    store.states().forEach(state -> numbers.add(state.number()));
    return numbers;
  }

  private SnapshotStore<LogSlot> open(Console console) throws IOException {
    return SnapshotStore.open(
        file, console.log.client("store", InitialView.ALL_DIRTY), console, console);
  }

  /** All that this test has. Its own classes are a patch of a module, which no path names. */
  static String classPath() throws Exception {
    String name = SavingProgram.class.getSimpleName() + ".class";
    URL own = Objects.requireNonNull(SavingProgram.class.getResource(name));
    Path tests = Path.of(own.toURI());
    for (int i = SavingProgram.class.getName().split("\\.").length; i > 0; i--) {
      tests = Objects.requireNonNull(tests.getParent());
    }
    String modules = System.getProperty("jdk.module.path", "");
    String classes = System.getProperty("java.class.path");
    return String.join(File.pathSeparator, tests.toString(), modules, classes);
  }
}
