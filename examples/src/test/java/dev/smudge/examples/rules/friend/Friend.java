package dev.smudge.examples.rules.friend;

import dev.smudge.examples.rules.owner.friendly.Friendly;
import dev.smudge.examples.rules.owner.internal.Hidden;

/** May use what it is a friend of, and nothing else that is not for everybody. */
final class Friend {
  Friendly allowed = new Friendly();
  Hidden[] forbidden = {};
}
