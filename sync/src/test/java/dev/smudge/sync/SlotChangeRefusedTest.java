package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.internal.collect.SlotLimits;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** Changes, and uses of slots that have gone, which are refused and change nothing. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@ParameterizedClass
@EnumSource(Mode.class)
class SlotChangeRefusedTest extends SlotChangeCase {
  SlotChangeRefusedTest(Mode mode) {
    super(mode);
  }

  /** Who holds a slot that was changed meanwhile does not reach the one that has its number now. */
  @Test
  void discardAndTakeRange_slotWhoseNumberAnotherHas_areRefusedAndTakeNothing() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("a", InitialView.NONE_DIRTY);
    replace(slot, 0).commit();
    vcpu.mark(log.slot(0), 3 * PAGE, 1);
    vcpu.offline();
    assertTrue(refusal(() -> client.discard(slot, 0, 100)).contains("removed or changed"));
    assertTrue(refusal(() -> client.takeRange(slot, 0, 100)).contains("removed or changed"));
    assertEquals(Set.of("0:3"), take(client));
    vcpu.mark(log.slot(0), 4 * PAGE, 1);
    vcpu.offline();
    client.discard(log.slot(0), 4, 1);
    assertEquals(Set.of(), take(client));
  }

  @Test
  void marksAfterTheChange_areRefused_theyAreNotLostInSilence() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    LogVcpu vcpu = log.addVcpu();
    DirtyClient<LogSlot> client = log.client("c", InitialView.ALL_DIRTY);
    LogSlot unborn = log.change().add(1, 10, PAGE);
    assertTrue(refusal(() -> vcpu.mark(unborn, 0, 1)).contains("not added yet"));
    assertTrue(refusal(() -> log.mark(unborn, 0, 1)).contains("not added yet"));
    vcpu.mark(slot, 0, 1);
    log.change().remove(slot).commit();
    assertTrue(refusal(() -> vcpu.mark(slot, 0, 1)).contains("was removed"));
    assertTrue(refusal(() -> log.mark(slot, 0, 1)).contains("was removed"));
    assertTrue(refusal(() -> vcpu.mark(log.slot(0), 0, 1)).contains("no slot 0"));
    assertFalse(slot.isMarked(0));
    DirtyLog foreign = DirtyLog.create();
    LogSlot other = foreign.addSlot(0, 10, PAGE);
    assertTrue(refusal(() -> log.mark(other, 0, 1)).contains("not of this log"));
    assertEquals(0, client.dirtyPages());
  }

  private static String refusal(Runnable call) {
    return String.valueOf(assertThrows(IllegalArgumentException.class, call::run).getMessage());
  }

  @Test
  void attach_beforeTheCommitOnly() {
    SlotChange change = log.change();
    LogSlot slot = change.add(0, 10, PAGE);
    slot.slot.attach("ram");
    change.commit();
    assertEquals("ram", log.slot(0).slot.attachment());
    assertThrows(IllegalStateException.class, () -> slot.slot.attach("other"));
    assertEquals("ram", slot.slot.attachment());
  }

  @Test
  void badChanges_areRefused_andNothingIsChanged() {
    LogSlot slot = log.addSlot(0, 100, PAGE);
    LogSlot other = log.addSlot(1, 100, PAGE);
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    SlotChange change = log.change().remove(slot);
    LogSlot to = change.add(2, 50, PAGE);
    assertThrows(IllegalArgumentException.class, () -> change.remove(slot));
    assertThrows(IllegalArgumentException.class, () -> change.remove(to));
    assertThrows(IllegalArgumentException.class, () -> change.carry(other, 0, to, 0, 1));
    assertThrows(IllegalArgumentException.class, () -> change.carry(slot, 0, other, 0, 1));
    assertThrows(IndexOutOfBoundsException.class, () -> change.carry(slot, 0, to, 0, 51));
    assertThrows(IndexOutOfBoundsException.class, () -> change.carry(slot, 99, to, 0, 2));
    assertThrows(IndexOutOfBoundsException.class, () -> change.carry(slot, -1, to, 0, 1));
    assertThrows(IndexOutOfBoundsException.class, () -> change.carry(slot, 0, to, 0, -1));
    assertThrows(IllegalArgumentException.class, () -> change.add(-1, 1, PAGE));
    assertThrows(IllegalArgumentException.class, () -> change.add(SlotLimits.MAX_SLOTS, 1, PAGE));
    assertThrows(IllegalArgumentException.class, () -> change.add(3, 0, PAGE));
    LogSlot small = change.add(5, 10, 256);
    assertThrows(IllegalArgumentException.class, () -> change.carry(slot, 0, small, 0, 1));
    SlotChange twice = log.change();
    twice.add(4, 1, PAGE);
    twice.add(4, 2, PAGE);
    assertThrows(IllegalArgumentException.class, twice::commit);
    SlotChange taken = log.change();
    taken.add(1, 1, PAGE);
    assertThrows(IllegalArgumentException.class, taken::commit);
    SlotChange late = log.change().remove(other);
    log.change().remove(other).commit();
    assertThrows(IllegalArgumentException.class, late::commit);
    assertThrows(IllegalArgumentException.class, () -> log.change().remove(other));
    log.mark(slot, 0, 1);
    assertEquals(Set.of("0:0"), take(client));
    change.commit();
    assertThrows(IllegalStateException.class, change::commit);
    assertThrows(IllegalStateException.class, () -> change.add(9, 1, PAGE));
    assertEquals(60, take(client).size());
  }
}
