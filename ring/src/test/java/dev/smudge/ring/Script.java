package dev.smudge.ring;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * A random test script: its seed is printed (set {@code -Dsmudge.seed} to repeat a run), and the
 * steps of one that fails are saved below {@code target/failed-scripts}.
 */
final class Script {
  private static final long SEED = seed();

  private final String name;
  private final List<String> steps = new ArrayList<>();
  final SplittableRandom random;

  /** A script of many steps. */
  interface Body {
    void run(Script script);
  }

  private Script(String name) {
    this.name = name;
    this.random = new SplittableRandom(SEED ^ 0x9E37_79B9_7F4A_7C15L * name.hashCode());
  }

  private static long seed() {
    long seed = Long.getLong("smudge.seed", System.nanoTime());
    System.out.println("scripts of " + Script.class.getModule() + ": -Dsmudge.seed=" + seed);
    return seed;
  }

  static void run(String name, Body body) {
    Script script = new Script(name);
    try {
      body.run(script);
    } catch (RuntimeException | AssertionError e) {
      throw new AssertionError(
          e.getMessage() + "; -Dsmudge.seed=" + SEED + ", script in " + script.save(e), e);
    }
  }

  /** Says what the next step is, before it is done. */
  void step(String text) {
    steps.add(text);
  }

  private Path save(Throwable failure) {
    try {
      Path directory = Files.createDirectories(Path.of("target", "failed-scripts"));
      Path file = directory.resolve(name.replaceAll("[^A-Za-z0-9]+", "_") + ".txt");
      List<String> lines = new ArrayList<>(steps);
      lines.add("failure: " + failure);
      return Files.write(file, lines);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
