package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.ArmableBitmap;
import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.error.VcpuTimeoutException;
import dev.smudge.sync.internal.collect.HostMarks;
import dev.smudge.sync.internal.collect.Seal;
import dev.smudge.sync.internal.software.VcpuMarker;
import dev.smudge.sync.internal.software.VcpuMarks;
import dev.smudge.sync.internal.vcpu.RingRoom;
import dev.smudge.sync.watch.PageWatch;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Future;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** Writes to a page at the time at which a watch arms it. */
@Timeout(60)
@ParameterizedClass
@EnumSource(Mode.class)
class WriteWatchRaceTest extends WriteWatchCase {
  private static final int PAGES = 200;

  WriteWatchRaceTest(Mode mode) {
    super(mode.builder(), PAGES);
  }

  @AfterEach
  void close() {
    vcpu.close();
    log.close();
  }

  /** Who arms while the listener runs has not seen the write perhaps: the page stays armed. */
  @Test
  void armWhileTheListenerRuns_isNotUndone() {
    PageWatch[] watch = new PageWatch[1];
    try (GuestThread other = new GuestThread("translator")) {
      watch[0] =
          log.watchPages(
              slot,
              (at, length) -> {
                tell(at, length);
                if (told.size() == 1) {
                  Future<?> armed = other.begin(() -> watch[0].arm(0, 1));
                  while (!armed.isDone()) {
                    vcpu.safepoint();
                  }
                }
              });
      watch[0].arm(0, 1);
      vcpu.mark(slot, 0, 1);
      vcpu.mark(slot, 0, 2);
      vcpu.mark(slot, 0, 3);
      assertTold("0+1", "0+2");
      watch[0].close();
    }
  }

  /** A write that is told while its page is being armed does not leave it unarmed. */
  @Test
  void writeWhileThePageIsBeingArmed_leavesItArmed() {
    try (GuestThread translator = new GuestThread("translator")) {
      PageWatch watch = log.watchPages(slot, this::tell);
      watch.arm(0, 1);
      vcpu.online();
      vcpu.safepoint(); // nothing is asked from here on
      Future<?> arm = translator.begin(() -> watch.arm(0, 1));
      GuestThread.await(this::vcpuIsAsked);
      vcpu.mark(slot, 0, 1);
      assertTold("0+1");
      vcpu.mark(slot, 0, 2);
      assertTold("0+2");
      while (!arm.isDone()) {
        vcpu.safepoint();
      }
      vcpu.mark(slot, 0, 3);
      vcpu.mark(slot, 0, 4);
      assertTold("0+3");
      watch.close();
    }
  }

  /** A listener that was called while the page was being armed, and returns when that is over. */
  @Test
  void listenerThatOutlastsTheArming_leavesThePageArmed() {
    try (GuestThread translator = new GuestThread("translator")) {
      List<Future<?>> arm = new ArrayList<>();
      PageWatch watch =
          log.watchPages(
              slot,
              (at, length) -> {
                tell(at, length);
                while (!arm.get(0).isDone()) {
                  vcpu.safepoint();
                }
              });
      watch.arm(0, 1); // its live bit is clear
      vcpu.online();
      vcpu.safepoint();
      arm.add(translator.begin(() -> watch.arm(0, 1)));
      GuestThread.await(this::vcpuIsAsked);
      vcpu.mark(slot, 0, 1);
      vcpu.mark(slot, 0, 2);
      vcpu.mark(slot, 0, 3);
      assertTold("0+1", "0+2");
      watch.close();
    }
  }

  /** A vCPU that has found no watch, and marks after the page was armed: W1. */
  @Test
  void markThatIsUnderWayAsThePageIsArmed_leavesNoLiveBit() {
    PageWatch watch = log.watchPages(slot, this::tell);
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    try (GuestThread translator = new GuestThread("translator")) {
      List<Future<?>> arm = new ArrayList<>();
      VcpuMarks late =
          new VcpuMarks() {
            @Override
            public long mark(ArmableBitmap live, int entryId, long firstPage, long lastPage) {
              arm.add(translator.begin(() -> watch.arm(0, 1)));
              GuestThread.await(WriteWatchRaceTest.this::vcpuIsAsked);
              return vcpu.marks().mark(live, entryId, firstPage, lastPage);
            }

            @Override
            public @Nullable RingRoom ring() {
              return null;
            }
          };
      vcpu.online();
      vcpu.safepoint();
      VcpuMarker marker = new VcpuMarker(vcpu.state(), late, new Seal(log.collector.vcpus()));
      assertFalse(marker.mark(slot.slot, Objects.requireNonNull(slot.live), 0, 1));
      while (!arm.get(0).isDone()) {
        vcpu.safepoint();
      }
      vcpu.mark(slot, 0, 2);
      assertTold("0+2");
      assertEquals(List.of("0+1"), take(client));
      watch.close();
    }
  }

  /** A device that has found no watch before its mark finds it after: W2. */
  @Test
  void deviceThatMarksAsThePageIsArmed_isTold() {
    PageWatch watch = log.watchPages(slot, this::tell);
    HostMarks real = slot.slot.hostMarks();
    slot.slot.hostMarks(
        new HostMarks() {
          @Override
          public long mark(long firstPage, long count) {
            watch.arm(0, 1);
            return real.mark(firstPage, count);
          }

          @Override
          public void drain(PageWordConsumer sink) {
            real.drain(sink);
          }
        });
    log.mark(slot, 3, 1);
    assertTold("3+1");
    watch.close();
  }

  /** A vCPU that does not come to a safepoint: the range is not watched, and nothing is left. */
  @Test
  void timeout_leavesNoWatch() {
    try (DirtyLog quick = DirtyLog.builder().timeout(Duration.ofMillis(50)).build();
        GuestThread guest = new GuestThread("guest")) {
      LogSlot of = quick.addSlot(0, 8, PAGE);
      LogVcpu stuck = quick.addVcpu();
      guest.run(stuck::online);
      assertThrows(VcpuTimeoutException.class, () -> quick.watchBytes(of, 0, 8, this::tell));
      guest.run(() -> stuck.mark(of, 0, 1));
      assertTold();
      assertTrue(of.isMarked(3));
      guest.run(stuck::close);
    }
  }
}
