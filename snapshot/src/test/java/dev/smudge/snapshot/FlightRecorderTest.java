package dev.smudge.snapshot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the JDK's flight recorder is told of. */
class FlightRecorderTest {
  @Test
  void savesStepsAndResets_areRecordedInOrder(@TempDir Path directory) throws Exception {
    Console console = new Console();
    Rewind<LogSlot> rewind =
        Rewind.over(console.log.client("rewind", InitialView.ALL_DIRTY), console, console, 1 << 20);
    Reset<LogSlot> reset =
        Reset.toNow(console.log.client("reset", InitialView.ALL_DIRTY), console, console);
    Path file = directory.resolve("events.jfr");
    try (Recording recording = new Recording()) {
      recording.start();
      rewind.save();
      console.poke(0, 10, (byte) 1);
      console.poke(0, 1_000, (byte) 1);
      rewind.save();
      rewind.back();
      rewind.back(); // there is none: no event
      rewind.forward();
      rewind.jump(0);
      console.poke(1, 0, (byte) 1);
      reset.reset();
      recording.stop();
      recording.dump(file);
    }
    List<String> seen = new ArrayList<>();
    for (RecordedEvent event : RecordingFile.readAllEvents(file)) {
      String name = event.getEventType().getName();
      if (!List.of("smudge.Save", "smudge.Restore", "smudge.Reset").contains(name)) {
        continue; // of the log
      }
      seen.add(name + " " + event.getLong(name.equals("smudge.Reset") ? "pages" : "state"));
      if (name.equals("smudge.Restore")) {
        assertEquals(2, event.getLong("pages"));
      }
      if (seen.size() == 2) {
        assertEquals(2, event.getLong("pages"));
        assertTrue(event.getLong("usedBytes") > 0);
      }
    }
    assertEquals(
        List.of(
            "smudge.Save 0",
            "smudge.Save 1",
            "smudge.Restore 0",
            "smudge.Restore 1",
            "smudge.Restore 0",
            "smudge.Reset 3"),
        seen);
  }

  @Test
  void savesRestoresAndCompactionsOfAStore_areRecordedInOrder(@TempDir Path directory)
      throws Exception {
    Console console = new Console();
    Path file = directory.resolve("events.jfr");
    try (SnapshotStore<LogSlot> store =
            SnapshotStore.open(
                directory.resolve("states"),
                console.log.client("store", InitialView.ALL_DIRTY),
                console,
                console);
        Recording recording = new Recording()) {
      recording.start();
      console.poke(0, 10, (byte) 1);
      store.save();
      console.poke(0, 10, (byte) 2);
      console.poke(1, 10, (byte) 2);
      store.capture().write("two pages");
      store.restore(0);
      store.delete(1);
      store.compact();
      recording.stop();
      recording.dump(file);
    }
    List<String> seen = new ArrayList<>();
    for (RecordedEvent event : RecordingFile.readAllEvents(file)) {
      String name = event.getEventType().getName();
      if (!name.startsWith("smudge.Store")) {
        continue; // of the log
      }
      assertTrue(event.getDuration().toNanos() > 0, name);
      String text = name.substring("smudge.Store".length());
      switch (text) {
        case "Save" -> {
          seen.add(text + " " + event.getLong("state") + " " + event.getLong("pages"));
          assertTrue(event.getLong("bytes") > 40); // its registers
          assertTrue(event.getDuration("disk").toNanos() > 0);
          assertTrue(event.getDuration("disk").compareTo(event.getDuration()) <= 0);
        }
        case "Restore" ->
            seen.add(text + " " + event.getLong("state") + " " + event.getLong("pages"));
        case "Capture" -> seen.add(text + " " + event.getLong("pages"));
        default -> {
          seen.add(text);
          assertTrue(event.getLong("after") < event.getLong("before"));
        }
      }
    }
    assertEquals(List.of("Save 0 1", "Capture 2", "Save 1 2", "Restore 0 2", "Compaction"), seen);
  }
}
