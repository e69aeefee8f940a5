package dev.smudge.testbase;

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
public final class Script {
  private final String name;
  private final List<String> steps = new ArrayList<>();

  /** The random numbers of this script. */
  public final SplittableRandom random;

  /** A script of many steps. */
  public interface Body {
    /** Makes the steps of the script. */
    void run(Script script);
  }

  private Script(String name) {
    this.name = name;
    this.random = Seed.random(name);
  }

  /** Runs a script; its name, and the seed, are in the message if it fails. */
  public static void run(String name, Body body) {
    Script script = new Script(name);
    try {
      body.run(script);
    } catch (RuntimeException | AssertionError e) {
      throw new AssertionError(
          e.getMessage() + "; -Dsmudge.seed=" + Seed.SEED + ", script in " + script.save(e), e);
    }
  }

  /** Says what the next step is, before it is done. */
  public void step(String text) {
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

  /** A page from 0 to {@code end}, that included, often next to a boundary of the layout. */
  public long page(long end) {
    if (random.nextInt(3) == 0) {
      return random.nextLong(end + 1);
    }
    long[] units = {1, 64, 512, 32_768, end};
    long unit = Math.max(1, units[random.nextInt(units.length)]);
    long at = unit * random.nextLong(end / unit + 1) + random.nextInt(-1, 2);
    return Math.max(0, Math.min(end, at));
  }

  /** A count from 0 to {@code most}, more often small. */
  public long count(long most) {
    return switch (random.nextInt(4)) {
      case 0 -> Math.min(most, random.nextLong(4));
      case 1 -> Math.min(most, random.nextLong(130));
      case 2 -> most;
      default -> page(most);
    };
  }
}
