package dev.smudge.examples.rules.owner.internal;

import dev.smudge.examples.rules.owner.Api;

/** Closes a cycle of packages. */
final class Upwards {
  Api api;

  Upwards(Api api) {
    this.api = api;
  }
}
