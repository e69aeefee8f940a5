package dev.smudge.snapshot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;

/** Another client of a console: it keeps a copy of RAM by what it is told is dirty. */
final class Watcher implements AutoCloseable {
  private final Console console;
  private final byte[][] copy;
  private final DirtyClient<LogSlot> client;
  long pages;

  Watcher(Console console) {
    this.console = console;
    this.copy = new byte[][] {new byte[console.ram[0].length], new byte[console.ram[1].length]};
    this.client = console.log.client("watcher", InitialView.ALL_DIRTY);
  }

  /** Reads what it is told is dirty. */
  void take() {
    try (DirtyBatch<LogSlot> batch = client.take()) {
      batch.forEachRun((slot, first, count) -> {
        byte[] from = console.ram[slot.id()];
        int at = (int) first * Console.PAGE;
        int length = Math.min((int) count * Console.PAGE, from.length - at);
        System.arraycopy(from, at, copy[slot.id()], at, length);
        pages += count;
      });
      batch.commit();
    }
  }

  /** What it knows is what RAM is. */
  void check() {
    take();
    for (int i = 0; i < copy.length; i++) {
      assertArrayEquals(console.ram[i], copy[i]);
    }
  }

  @Override
  public void close() {
    client.close();
  }
}
