package dev.smudge.examples;

import dev.smudge.sync.DirtyLogBackend;
import dev.smudge.sync.ForwardingBackend;

/** A backend that leaves the after-sync barrier out, and so loses writes. */
final class NoBarrier extends ForwardingBackend {
  NoBarrier(DirtyLogBackend backend) {
    super(backend);
  }

  @Override
  public void afterSync() {}
}
