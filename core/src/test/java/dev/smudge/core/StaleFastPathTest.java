package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.core.ApiMethods.Call;
import dev.smudge.core.ApiMethods.Effect;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Stale state of a fast path when logging is switched on (Linux b64d740ea7dd): docs/bugs.md row 16.
 */
@ParameterizedClass
@EnumSource(LogKind.class)
@Timeout(120)
class StaleFastPathTest {
  private final LogKind kind;

  StaleFastPathTest(LogKind kind) {
    this.kind = kind;
  }

  enum Starter {
    VCPU_ITSELF,
    ANOTHER,
    ANOTHER_WHILE_OFFLINE
  }

  static Stream<Call> writers() {
    return ApiMethods.all().filter(call -> call.effect() != Effect.NONE);
  }

  @ParameterizedTest
  @MethodSource("writers")
  void bug16_cursorsAreWarm_writesAfterAClientHasStartedAreReported(Call call) {
    long place = TestGuest.LOW + 8 * TestGuest.PAGE; // where a vCPU remembers the page
    for (boolean others : new boolean[] {false, true}) {
      for (Starter starter : Starter.values()) {
        String what = call + ", started by " + starter + (others ? " beside another" : "");
        try (TestGuest guest = new TestGuest(kind)) {
          if (!others) {
            guest.client.close(); // nothing is logged now
          }
          for (int i = 0; i < 3; i++) {
            guest.vcpu.putLong(place, 0);
            guest.vcpu.getLong(place);
            guest.refill();
            call.action().run(guest, place);
          }
          guest.refill();
          DirtyClient<GuestSlot> client = start(guest, starter);
          call.action().run(guest, place);
          assertEquals(Dirty.pages(guest.low, place, call.length()), Dirty.take(client), what);
          guest.refill();
          call.action().run(guest, place);
          assertEquals(Dirty.pages(guest.low, place, call.length()), Dirty.take(client), what);
        }
      }
    }
  }

  private static DirtyClient<GuestSlot> start(TestGuest guest, Starter starter) {
    AtomicReference<DirtyClient<GuestSlot>> client = new AtomicReference<>(guest.client);
    Runnable start = () -> client.set(guest.memory.client("late", InitialView.NONE_DIRTY));
    switch (starter) {
      case VCPU_ITSELF -> start.run();
      case ANOTHER -> TestGuest.whileAtSafepoints(guest.vcpu, start);
      case ANOTHER_WHILE_OFFLINE -> {
        guest.vcpu.offline();
        start.run();
      }
    }
    return Objects.requireNonNull(client.get());
  }

  @Test
  void bug16_readsOnly_areNotReported() {
    try (TestGuest guest = new TestGuest(kind)) {
      guest.vcpu.getLong(TestGuest.LOW);
      DirtyClient<GuestSlot> client = start(guest, Starter.VCPU_ITSELF);
      guest.vcpu.getLong(TestGuest.LOW);
      assertEquals(Map.of(), Dirty.take(client));
    }
  }
}
