package dev.smudge.examples.rules.owner.friendly;

import dev.smudge.examples.rules.owner.internal.Hidden;

/** One member says more than friends can name. */
public final class Friendly {
  public Hidden hidden = new Hidden();

  public Friendly itself() {
    return this;
  }
}
