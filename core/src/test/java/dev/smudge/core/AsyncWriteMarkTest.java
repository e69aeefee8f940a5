package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** A write that was marked before it landed: docs/bugs.md row 22. */
@ParameterizedClass
@EnumSource(LogKind.class)
@Timeout(120)
class AsyncWriteMarkTest {
  private final LogKind kind;

  AsyncWriteMarkTest(LogKind kind) {
    this.kind = kind;
  }

  private static final long PLACE = TestGuest.LOW + 3 * TestGuest.PAGE - 5;
  private static final int LENGTH = 600;

  @Test
  void bug22_collectionBetweenStartAndCompletion_pageIsSeenAgain() {
    try (TestGuest guest = new TestGuest(kind)) {
      DirtyClient<GuestSlot> other = guest.memory.client("other", InitialView.NONE_DIRTY);
      Copies copies = new Copies(guest.memory);
      guest
          .memory
          .slots()
          .forEach(slot -> guest.memory.device().mark(slot.guestAddress(), slot.size()));
      copies.take(guest.client);
      copies.assertSame(guest.memory, "before");
      Dirty.take(other);

      AsyncWrite write = guest.memory.device().beginWrite(PLACE, LENGTH);
      copies.take(guest.client);
      MemorySegment target = write.target();
      target.asSlice(0, 300).fill(TestGuest.WRITTEN);
      copies.take(guest.client); // half of it has landed
      target.asSlice(300).fill(TestGuest.WRITTEN);
      copies.take(guest.client);
      write.close();
      assertEquals(Dirty.pages(guest.low, PLACE, LENGTH), Dirty.take(other), "the other client");
      assertEquals(4, copies.take(guest.client));
      copies.assertSame(guest.memory, "landed");

      write.close(); // each marks again
      assertEquals(Dirty.pages(guest.low, PLACE, LENGTH), Dirty.take(guest.client));
    }
  }

  @Test
  void bug22_endedByAnotherThread_marks() {
    try (TestGuest guest = new TestGuest(kind)) {
      AsyncWrite write = guest.memory.device().beginWrite(PLACE, LENGTH);
      guest.vcpu.putByte(PLACE, (byte) 0);
      guest.vcpu.putByte(PLACE, (byte) 0);
      assertEquals(Dirty.pages(guest.low, PLACE, 1), takeAtSafepoint(guest));
      Threads.joinAll(
          List.of(
              Threads.start(
                  "device",
                  index -> {
                    write.target().fill(TestGuest.WRITTEN);
                    write.close();
                  },
                  0)));
      assertEquals(Dirty.pages(guest.low, PLACE, LENGTH), takeAtSafepoint(guest));
    }
  }

  private static Map<Integer, java.util.BitSet> takeAtSafepoint(TestGuest guest) {
    guest.vcpu.safepoint();
    return Dirty.take(guest.client);
  }

  @Test
  void bug22_emptyWrite_marksNothing() {
    try (TestGuest guest = new TestGuest(kind)) {
      guest.memory.device().beginWrite(PLACE, 0).close();
      guest.assertClean("nothing landed");
    }
  }
}
