package dev.smudge.sync.error;

/** A guest write came after the dirty log was sealed (docs/bugs.md row 24). */
public final class SealedException extends IllegalStateException {
  private static final long serialVersionUID = 1L;

  /**
   * Makes the exception.
   *
   * @param message what was written, and when
   */
  public SealedException(String message) {
    super(message);
  }
}
