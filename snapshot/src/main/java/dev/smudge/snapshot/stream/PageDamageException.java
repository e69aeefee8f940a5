package dev.smudge.snapshot.stream;

import java.io.IOException;

/** Bytes of pages are not as they were written: cut short, changed, or of another format. */
public final class PageDamageException extends IOException {
  private static final long serialVersionUID = 1L;

  /**
   * Makes one.
   *
   * @param message what is damaged, and where
   */
  public PageDamageException(String message) {
    super(message);
  }
}
