package dev.smudge.snapshot;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A store that another process has written. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class ReopenedStoreTest {
  @TempDir Path directory;

  private SnapshotStore<LogSlot> open(Console console) throws IOException {
    return SnapshotStore.open(
        directory.resolve("states"),
        console.log.client("store", InitialView.ALL_DIRTY),
        console,
        console);
  }

  @Test
  void save_afterADeletionAndCompactions_takesANumberThatWasNeverUsed() throws Exception {
    try (SnapshotStore<LogSlot> store = open(new Console())) {
      store.save();
      long last = store.save();
      store.restore(0);
      store.delete(last);
      store.compact();
      store.compact();
    }
    try (SnapshotStore<LogSlot> store = open(new Console())) {
      assertEquals(0, store.lostBytes());
      assertEquals(1, store.states().size());
      assertEquals(2, store.save());
    }
    try (SnapshotStore<LogSlot> store = open(new Console())) {
      assertEquals(3, store.save());
      assertEquals(3, store.states().size());
    }
  }
}
