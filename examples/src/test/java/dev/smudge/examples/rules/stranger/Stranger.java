package dev.smudge.examples.rules.stranger;

import dev.smudge.examples.rules.owner.Api;
import dev.smudge.examples.rules.owner.friendly.Friendly;

/** May use what is for everybody. */
abstract class Stranger {
  abstract Api allowed();

  abstract Friendly forbidden();
}
