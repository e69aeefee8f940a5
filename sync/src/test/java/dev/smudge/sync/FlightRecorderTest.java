package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What the JDK's flight recorder is told of. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class FlightRecorderTest {
  @TempDir Path directory;

  /** Returns what was recorded, in order of its end. */
  private List<RecordedEvent> record(Runnable what) throws IOException {
    Path file = directory.resolve("events.jfr");
    try (Recording recording = new Recording()) {
      for (String name : List.of("Take", "Batch", "Barrier", "RingFull", "SlotChange", "Pause")) {
        recording.enable("smudge." + name).withoutThreshold();
      }
      recording.start();
      what.run();
      recording.stop();
      recording.dump(file);
    }
    return RecordingFile.readAllEvents(file);
  }

  /** Those of this thread alone: what an earlier test has left running makes events, too. */
  private List<RecordedEvent> recordHere(Runnable what) throws IOException {
    long here = Thread.currentThread().getId();
    return record(what).stream()
        .filter(event -> event.getThread() != null && event.getThread().getJavaThreadId() == here)
        .toList();
  }

  private static RecordedEvent only(List<RecordedEvent> events, String name) {
    List<RecordedEvent> found =
        events.stream().filter(e -> e.getEventType().getName().equals("smudge." + name)).toList();
    assertEquals(1, found.size(), name + ": " + events);
    return found.get(0);
  }

  @Test
  void take_andCloseWithAPageLeft_isRecordedWithItsBatchAndItsBarrier() throws Exception {
    try (DirtyLog log = DirtyLog.create()) {
      LogSlot slot = log.addSlot(0, 100, 4096);
      LogVcpu vcpu = log.addVcpu();
      DirtyClient<LogSlot> client = log.client("display", InitialView.NONE_DIRTY);
      vcpu.mark(slot, 0, 3 * 4096);
      vcpu.offline();
      List<RecordedEvent> events =
          recordHere(() -> {
            try (DirtyBatch<LogSlot> batch = client.take()) {
              batch.acknowledge(slot, 0, 2);
            }
          });
      RecordedEvent take = only(events, "Take");
      assertEquals("display", take.getString("client"));
      assertEquals(3, take.getLong("pages"));
      assertTrue(take.getDuration("barrier").compareTo(take.getDuration()) <= 0, take::toString);
      assertEquals(1, only(events, "Barrier").getInt("vcpus"));
      RecordedEvent batch = only(events, "Batch");
      assertEquals("display", batch.getString("client"));
      assertEquals(1, batch.getLong("givenBack"));
      assertEquals(3, events.size(), events::toString);
    }
  }

  @Test
  void pauseAndSlotChange_areRecorded() throws Exception {
    try (DirtyLog log = DirtyLog.create()) {
      log.addSlot(0, 100, 4096);
      List<RecordedEvent> events =
          recordHere(() -> {
            log.pause().close();
            SlotChange change = log.change();
            change.add(1, 10, 4096);
            change.add(2, 10, 4096);
            change.remove(log.slot(0));
            change.commit();
          });
      RecordedEvent pause = only(events, "Pause");
      assertTrue(pause.getDuration("stopping").compareTo(pause.getDuration()) <= 0);
      RecordedEvent change = only(events, "SlotChange");
      assertEquals(2, change.getInt("added"));
      assertEquals(1, change.getInt("removed"));
    }
  }

  @Test
  void vcpu_waitsForRoomInItsRing_isRecorded() throws Exception {
    try (DirtyLog log = DirtyLog.builder().ring(64).build()) {
      LogSlot slot = log.addSlot(0, 1_000, 4096);
      LogVcpu vcpu = log.addVcpu();
      DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
      List<RecordedEvent> events =
          record(() -> {
            Thread guest =
                new Thread(() -> {
                  for (int page = 0; page < 64; page++) {
                    vcpu.mark(slot, page * 4096L, 1);
                    vcpu.safepoint();
                  }
                  vcpu.close();
                });
            guest.start();
            while (guest.isAlive()) {
              if (guest.getState() == Thread.State.TIMED_WAITING) {
                client.take().close();
              }
              Thread.onSpinWait();
            }
          });
      assertTrue(
          events.stream().anyMatch(e -> e.getEventType().getName().equals("smudge.RingFull")),
          events::toString);
    }
  }
}
