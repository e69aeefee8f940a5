package dev.smudge.migration;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.migration.MigrationResult.End;
import dev.smudge.migration.MigrationSource.AtLimit;
import dev.smudge.testbase.OtherJvm;
import dev.smudge.testbase.StackSqueeze;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Migrations in a JVM that has just started, whose stack ends, each with a little more of it than
 * the one before: what is linked or initialized there for the first time must not be of no use ever
 * after. The guest is at one end whatever happens, and if it has stayed, the next attempt moves all
 * of it.
 */
@Timeout(value = 200, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@Tag("once")
class ColdErrorTest {
  /** Migrates guests, each until one attempt gets through, and prints how many did not. */
  static final class Attempts {
    private static final int MOST_FRAMES = 2_000;
    private static final int GUESTS = 2; // the first when nothing was ever called

    private final int streams;
    private Bench bench = bench();
    private @Nullable MigrationResult result;
    private @Nullable Throwable thrown; // or why it has failed
    private int failed;

    private Attempts(int streams) {
      this.streams = streams;
    }

    /**
     * Starts here.
     *
     * @param arguments how many streams
     */
    public static void main(String[] arguments) {
      StackSqueeze.withSmallStack(() -> new Attempts(Integer.parseInt(arguments[0])).run());
    }

    private static Bench bench() {
      Bench made = new Bench(16);
      made.source.rounds(1, 2, 0).timeout(Duration.ofMinutes(1), AtLimit.FORCE);
      made.guest.hotPages = 2;
      return made;
    }

    /** Loads all classes, since that alone takes more stack than all that follows. */
    private static void load() throws Exception {
      Path classes =
          Path.of(
              MigrationSource.class.getProtectionDomain().getCodeSource().getLocation().toURI());
      try (Stream<Path> files = Files.walk(classes.resolve("dev/smudge/migration"))) {
        for (Path file : files.filter(each -> each.toString().endsWith(".class")).toList()) {
          String name = classes.relativize(file).toString().replace(File.separatorChar, '.');
          name = name.substring(0, name.length() - ".class".length());
          Class.forName(name, false, ColdErrorTest.class.getClassLoader());
        }
      }
    }

    private void run() throws Exception {
      load();
      for (int i = 0; i < GUESTS; i++) {
        bench.guest.start();
        int frames = 0;
        while (attempt(frames)) {
          frames++;
          if (frames == MOST_FRAMES) {
            throw new AssertionError("it never gets through: " + result, thrown);
          }
        }
        bench.close();
        bench = bench();
      }
      System.out.println("failed: " + failed);
    }

    /** {@return whether the guest has stayed} */
    private boolean attempt(int frames) throws Exception {
      result = null;
      thrown = null;
      bench.attempt(
          streams,
          Bench.NOTHING,
          Bench.NOTHING,
          (first, more) ->
              thrown =
                  StackSqueeze.callAbove(frames, () -> result = bench.source.migrate(first, more)));
      MigrationResult end = result;
      if (end != null) {
        thrown = end.failure();
      }
      try {
        if (end != null && end.end() != End.STAYED) {
          assertFalse(bench.guest.isRunning(), "it runs at both ends");
          if (end.end() == End.HANDED_OVER || bench.ranThere) {
            bench.assertSame();
          }
          failed += end.failure() == null ? 0 : 1;
          return false;
        }
        failed++;
        assertFalse(bench.ranThere, "it runs at both ends");
        bench.guest.start(); // where the stack has ended in its start
        return true;
      } catch (Throwable e) {
        if (thrown != null) {
          e.addSuppressed(thrown);
        }
        throw new AssertionError("with " + frames + " frames: " + result, e);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3})
  void migrate_stackEndsInTheFirstAttempts_aLaterOneMovesAll(int streams) throws Exception {
    List<String> flags = List.of("-XX:+UseSerialGC", "-ea");
    String output = OtherJvm.run(Attempts.class, flags, String.valueOf(streams));
    String failed = output.substring(output.lastIndexOf(' ') + 1).strip();
    assertTrue(Integer.parseInt(failed) > 20, output);
  }
}
