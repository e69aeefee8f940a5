package dev.smudge.snapshot;

import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** Stores on a disk in memory, and what states they have. */
final class Stores {
  private Stores() {}

  static SnapshotStore<LogSlot> over(Console console, MemoryDisk disk) throws IOException {
    return SnapshotStore.over(
        disk,
        Path.of("memory"),
        () -> {},
        console.log.client("store", InitialView.ALL_DIRTY),
        console,
        console);
  }

  static List<Long> numbers(SnapshotStore<?> store) {
    return store.states().stream().map(SnapshotStore.State::number).toList();
  }
}
