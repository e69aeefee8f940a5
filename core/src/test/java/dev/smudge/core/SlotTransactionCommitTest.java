package dev.smudge.core;

import static dev.smudge.core.TransactionGuest.BASE;
import static dev.smudge.core.TransactionGuest.FAR;
import static dev.smudge.core.TransactionGuest.PAGE;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.rcu.RcuException;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Commits beside other commits, nested transactions, and vCPUs that write meanwhile. */
@Timeout(120)
class SlotTransactionCommitTest {
  @Test
  void nested_innerIsTakenBackAlone_outerCommitsAtOnce() {
    try (TransactionGuest guest = new TransactionGuest(LogKind.BITMAP)) {
      try (SlotTransaction outer = guest.begin()) {
        outer.add(1, 0, 4 * PAGE, PAGE);
        try (SlotTransaction inner = guest.begin()) {
          assertThrows(IllegalStateException.class, outer::commit, "an inner one is open");
          assertThrows(IllegalStateException.class, () -> outer.remove(1));
          assertThrows(IllegalStateException.class, () -> guest.memory.addSlot(9, FAR, 4096));
          inner.remove(1).move(5, FAR).split(5, PAGE, 6);
        }
        try (SlotTransaction inner = guest.begin()) {
          inner.resize(1, 5 * PAGE).split(1, 2 * PAGE, 2);
          assertEquals(List.of(), inner.commit());
        }
        assertEquals(1, guest.memory.slots().size(), "nothing yet");
        outer.commit();
      }
      assertEquals(List.of(1, 2, 5), guest.memory.slots().stream().map(GuestSlot::id).toList());
      assertEquals(3, guest.memory.slot(2).pageCount());
      try (SlotTransaction dropped = guest.begin()) {
        dropped.remove(1);
      }
      assertEquals(3, guest.memory.slots().size());
    }
  }

  @Test
  void commit_slotChangedByAnotherThreadMeanwhile_refusedAndUnchanged() {
    try (TransactionGuest guest = new TransactionGuest(LogKind.BITMAP);
        SlotTransaction late = guest.begin().move(5, FAR)) {
      guest.vcpu.offline();
      Threads.runAll(1, index -> guest.begin().resize(5, 64 * PAGE).commit());
      assertThrows(IllegalStateException.class, late::commit);
      assertEquals(BASE, guest.memory.slot(5).guestAddress());
      assertThrows(IllegalStateException.class, late::commit);
    }
  }

  @Test
  void commit_addressesTakenByAnotherThreadMeanwhile_refusedAndUnchanged() {
    try (TransactionGuest guest = new TransactionGuest(LogKind.BITMAP);
        SlotTransaction late = guest.begin().add(7, FAR, PAGE, PAGE).add(8, 0, PAGE, PAGE)) {
      Threads.runAll(1, index -> guest.memory.addSlot(9, FAR, PAGE, PAGE));
      assertThrows(IllegalArgumentException.class, late::commit);
      assertEquals(2, guest.memory.slots().size());
      assertEquals(FAR, late.remove(7).commit().isEmpty() ? FAR : 0, "it can be mended");
      assertEquals(3, guest.memory.slots().size());
    }
  }

  @Test
  void commit_allSlotsInOne_andOneByOne() {
    try (GuestMemory memory = GuestMemory.create();
        SlotTransaction change = memory.beginTransaction()) {
      MemorySegment ram = MemorySegment.ofArray(new byte[PAGE * 32_765]);
      long start = System.nanoTime();
      for (int id = 0; id < 32_764; id++) {
        change.add(id, 4L * PAGE * id, ram.asSlice((long) PAGE * id, PAGE), PAGE);
      }
      change.commit();
      long added = System.nanoTime();
      assertThrows(
          IllegalArgumentException.class,
          () -> memory.addSlot(32_764, FAR << 8, ram.asSlice(32_764L * PAGE), PAGE));
      memory.beginTransaction().move(7, FAR << 4).commit();
      System.out.println("32,764 slots in one transaction: " + (added - start) / 1_000_000 + " ms");
      assertEquals(32_764, memory.slots().size());
      assertEquals(7, memory.slots().getLast().id());
    }
  }

  @Test
  void commit_insideASectionOrAnotherCommit_failsAtOnce() {
    AtomicReference<GuestMemory> made = new AtomicReference<>();
    AtomicReference<Throwable> thrown = new AtomicReference<>();
    GuestMemory memory =
        GuestMemory.over(
            LogKind.BITMAP
                .builder()
                .interceptTracker(backend -> new CommitsInside(backend, made, thrown))
                .build());
    memory.addSlot(0, 0, 4096);
    made.set(memory);
    memory.addSlot(1, FAR, 4096);
    assertTrue(thrown.get() instanceof IllegalStateException, String.valueOf(thrown.get()));
    made.set(null);
    memory.log().rcu().enter();
    assertThrows(RcuException.class, () -> memory.removeSlot(0));
    memory.log().rcu().exit();
    assertEquals(2, memory.slots().size());
    memory.removeSlot(0).close();
    memory.close();
  }

  private static final class CommitsInside extends ForwardingTracker {
    private final AtomicReference<GuestMemory> memory;
    private final AtomicReference<Throwable> thrown;

    CommitsInside(
        Tracker backend, AtomicReference<GuestMemory> memory, AtomicReference<Throwable> thrown) {
      super(backend);
      this.memory = memory;
      this.thrown = thrown;
    }

    @Override
    protected void add(TrackedSlot slot, SlotTracker to) {
      super.add(slot, to);
      GuestMemory inside = memory.get();
      if (inside != null) {
        inside.space().endTransaction(); // the open one is not to be joined
        try (SlotTransaction change = inside.beginTransaction()) {
          change.remove(0);
          thrown.set(assertThrows(IllegalStateException.class, change::commit));
        }
      }
    }
  }

  @Test
  void commit_byTwoVcpusAndAThreadAtOnce_allEnd() {
    try (GuestMemory memory = GuestMemory.create()) {
      Threads.runAll(
          3,
          index -> {
            Vcpu vcpu = index < 2 ? memory.addVcpu() : null;
            for (int i = 0; i < 100; i++) {
              GuestSlot slot = memory.addSlot(index, index * FAR, 4096);
              if (vcpu != null) {
                vcpu.putByte(slot.guestAddress(), (byte) 1);
              }
              memory.beginTransaction().move(index, index * FAR + 4096).commit();
              memory.removeSlot(index).close();
            }
            if (vcpu != null) {
              vcpu.close();
            }
          });
      assertEquals(List.of(), memory.slots());
    }
  }

  @Test
  void bug17_vcpusHammerWhileASlotIsChanged_noHoleAndNoLostByte() {
    try (GuestMemory memory = GuestMemory.create()) {
      long bytes = 16 * PAGE;
      memory.addSlot(0, BASE, bytes, PAGE);
      int rounds = Integer.getInteger("smudge.slotChanges", 150);
      AtomicBoolean stop = new AtomicBoolean();
      Threads.runAll(
          3,
          index -> {
            if (index == 0) {
              try {
                for (int i = 0; i < rounds; i++) {
                  memory.beginTransaction().split(0, 5 * PAGE, 1).commit();
                  memory.beginTransaction().merge(0, 1).resize(0, 20 * PAGE).commit();
                  memory.beginTransaction().resize(0, bytes).commit().getFirst().close();
                }
              } finally {
                stop.set(true);
              }
              return;
            }
            try (Vcpu vcpu = memory.addVcpu()) {
              byte[] model = new byte[(int) bytes];
              for (int i = 0; !stop.get(); i++) {
                int at = ((i & 0xff_ffff) * 37 % (int) (bytes / 2)) * 2 + index - 1;
                assertEquals(model[at], vcpu.getByte(BASE + at));
                model[at] = (byte) i;
                vcpu.putByte(BASE + at, (byte) i);
                if (i % 50 == 0) {
                  vcpu.safepoint();
                }
              }
              for (int at = index - 1; at < bytes; at += 2) {
                assertEquals(model[at], vcpu.getByte(BASE + at), "the byte oracle");
              }
            }
          });
    }
  }
}
