package dev.smudge.examples.rules.owner.internal;

/** Names itself, which its own module can do. */
public class Hidden {
  public Hidden itself() {
    return this;
  }
}
