package dev.smudge.endive;

/** Holds the place of the module's first type. */
public final class Placeholder {
  private Placeholder() {}

  /**
   * The name of the module.
   *
   * @return the name
   */
  public static String name() {
    return "endive";
  }
}
