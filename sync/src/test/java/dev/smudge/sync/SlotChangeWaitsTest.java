package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.smudge.sync.rcu.RcuException;
import dev.smudge.sync.rcu.RcuTimeoutException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Changes of slots that wait for vCPUs, or would wait for themselves. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@ParameterizedClass
@EnumSource(Mode.class)
class SlotChangeWaitsTest extends SlotChangeCase {
  SlotChangeWaitsTest(Mode mode) {
    super(mode);
  }

  @Test
  void vcpuDoesNotPassASafepoint_changeIsMadeAndReleasedLater() {
    DirtyLog impatient = mode.builder().timeout(Duration.ofMillis(100)).build();
    LogSlot slot = impatient.addSlot(0, 100, PAGE);
    LogVcpu vcpu = impatient.addVcpu();
    DirtyClient<LogSlot> client = impatient.client("c", InitialView.NONE_DIRTY);
    AtomicInteger released = new AtomicInteger();
    guest.run(vcpu::online);
    SlotChange change = impatient.change().remove(slot, released::incrementAndGet);
    LogSlot to = change.add(1, 100, PAGE);
    change.carry(slot, 0, to, 0, 100);
    assertThrows(RcuTimeoutException.class, change::commit);
    guest.run(() -> vcpu.mark(slot, 5 * PAGE, 1)); // it knows of nothing yet
    impatient.sync();
    assertEquals(1, client.dirtyPages());
    assertEquals(0, released.get());
    guest.run(() -> vcpu.mark(slot, 6 * PAGE, 1));
    guest.run(vcpu::offline);
    impatient.rcu().barrier();
    assertEquals(1, released.get());
    assertEquals(Set.of("1:5", "1:6"), take(client));
    assertThrows(IllegalArgumentException.class, () -> vcpu.mark(slot, 0, 1));
  }

  @Test
  void commit_whereItWouldWaitForItself_isRefusedAtOnce() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    SlotChange change = log.change().remove(slot);
    log.rcu().enter();
    assertThrows(RcuException.class, change::commit);
    log.change().commit(); // removes nothing, so it waits for nobody
    log.rcu().exit();
    List<RuntimeException> thrown = new ArrayList<>();
    LogVcpu vcpu =
        log.addVcpu(() -> {
          try {
            change.commit();
          } catch (RuntimeException e) {
            thrown.add(e);
          }
        });
    vcpu.online();
    log.client("c", InitialView.ALL_DIRTY).take().close();
    vcpu.safepoint();
    assertEquals(RcuException.class, thrown.get(0).getClass());
    assertSame(slot, log.slot(0));
    vcpu.offline();
    change.commit();
  }

  @ParameterizedTest
  @EnumSource(InitialView.class)
  void twoVcpus_changeAtOnceWhileAClientStarts_bothFinish(InitialView initial) throws Exception {
    try (GuestThread second = new GuestThread("second")) {
      LogSlot[] slots = {log.addSlot(0, 100, PAGE), log.addSlot(1, 100, PAGE)};
      CountDownLatch start = new CountDownLatch(3);
      Consumer<Integer> changer =
          index -> {
            try (LogVcpu vcpu = log.addVcpu()) {
              vcpu.online();
              start.countDown();
              LogSlot slot = slots[index];
              for (int i = 0; i < 50; i++) {
                vcpu.mark(slot, (long) i * PAGE, 1);
                int newId = index + 2 * (i + 1);
                replace(slot, newId).commit();
                slot = log.slot(newId);
              }
              slots[index] = slot;
            }
          };
      Future<?> one = guest.begin(() -> changer.accept(0));
      Future<?> two = second.begin(() -> changer.accept(1));
      start.countDown();
      start.await();
      try (DirtyClient<LogSlot> client = log.client("c", initial)) {
        for (int i = 0; i < 20; i++) {
          client.take().close();
        }
        GuestThread.end(one);
        GuestThread.end(two);
        take(client);
        log.mark(slots[0], 0, 1);
        log.mark(slots[1], 1, 1);
        assertEquals(Set.of(slots[0].id() + ":0", slots[1].id() + ":0"), take(client));
      }
    }
  }
}
