package dev.smudge.sync.internal.vcpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * A collector that arms pages and asks for an acknowledgement between the two looks of a vCPU that
 * acknowledges: the vCPU must not acknowledge that request before it has run its arm callback.
 */
final class AcknowledgeOrderTest {
  /** Has the collector run after the first look, whichever that is. */
  private static final class Interleaved extends Handshake {
    private final Deque<Runnable> afterNextLook = new ArrayDeque<>();

    Interleaved(VcpuGroup group) {
      super(group);
    }

    @Override
    long requested() {
      long number = super.requested();
      runNext();
      return number;
    }

    @Override
    long armEpoch() {
      long epoch = super.armEpoch();
      runNext();
      return epoch;
    }

    private void runNext() {
      Runnable next = afterNextLook.poll();
      if (next != null) {
        next.run();
      }
    }
  }

  @Test
  void acknowledge_pagesArmedAndAskedBetweenItsLooks_runsTheCallbackFirst() {
    VcpuGroup group = new VcpuGroup(Duration.ofSeconds(1), error -> {}, Interleaved::new);
    Interleaved handshake = (Interleaved) group.handshake();
    VcpuState[] vcpu = new VcpuState[1];
    long[] asked = new long[1];
    List<Boolean> acknowledged = new ArrayList<>(); // when the callback runs
    vcpu[0] =
        new VcpuState(
            group,
            0,
            "vCPU",
            () -> acknowledged.add(vcpu[0].hasAcknowledged(asked[0])),
            null,
            () -> {});
    group.add(vcpu[0]);
    vcpu[0].online();
    handshake.afterNextLook.add(() -> {
      handshake.pagesArmed();
      asked[0] = handshake.request(null).number;
    });
    vcpu[0].request(VcpuState.BARRIER);
    vcpu[0].safepoint();
    assertTrue(vcpu[0].hasAcknowledged(asked[0]));
    assertEquals(List.of(false), acknowledged, "it still had what it was asked to drop");
  }
}
