package dev.smudge.snapshot;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A machine that writes to RAM when it is asked for its state, as one that drains a queue does. */
class MachineStateTest {
  private final Console console = new Console();
  private final DirtyClient<LogSlot> client = console.log.client("c", InitialView.ALL_DIRTY);
  private final MachineState draining =
      new MachineState() {
        @Override
        public byte[] save() {
          drained++;
          console.poke(0, drained * 1000, drained); // each in a page of its own
          return new byte[0];
        }

        @Override
        public void restore(byte[] bytes) {
          // All of it is in RAM.
        }
      };
  private byte drained;

  @BeforeEach
  void fill() {
    console.fill(0, 0, 5000, (byte) 9);
  }

  private void assertDrained(int times) {
    for (int i = 1; i < 4; i++) {
      assertEquals(i <= times ? i : 9, console.ram[0][i * 1000], "of " + i);
    }
    console.fill(0, 0, 5000, (byte) 77);
  }

  @Test
  void rewind_saveWritesRam_isInTheState() {
    try (Rewind<LogSlot> rewind = Rewind.over(client, console, draining, 1 << 16)) {
      rewind.save();
      rewind.save();
      rewind.back();
      assertDrained(1);
      rewind.forward();
      assertDrained(2);
    }
  }

  @Test
  void store_saveWritesRam_isInTheState(@TempDir Path directory) throws Exception {
    Path file = directory.resolve("states");
    try (SnapshotStore<LogSlot> store = SnapshotStore.open(file, client, console, draining)) {
      store.save();
      store.save();
      store.capture().write("");
      store.restore(0);
      assertDrained(1);
      store.restore(1);
      assertDrained(2);
      store.restore(2);
      assertDrained(3);
    }
  }

  @Test
  void reset_saveWritesRam_isInTheImage() {
    try (Reset<LogSlot> reset = Reset.toNow(client, console, draining)) {
      reset.reset();
      assertDrained(1);
      reset.reset();
      assertDrained(1);
    }
  }
}
