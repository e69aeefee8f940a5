package dev.smudge.examples;

import java.util.Arrays;

/** Holds the place of the migration example. */
public final class Migrate {
  private Migrate() {}

  /**
   * Runs the example.
   *
   * @param args the options
   */
  public static void main(String[] args) {
    System.out.println(
        "Java " + Runtime.version().feature() + ", arguments " + Arrays.toString(args));
    if (Arrays.asList(args).contains("--fail")) {
      System.exit(3);
    }
  }
}
