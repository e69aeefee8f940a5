package dev.smudge.core;

import static dev.smudge.core.TransactionGuest.BASE;
import static dev.smudge.core.TransactionGuest.FAR;
import static dev.smudge.core.TransactionGuest.PAGE;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.RemovedSlot;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Every step of a transaction, and what is dirty after it. */
@Timeout(120)
class SlotTransactionTest {
  private static Map<Integer, BitSet> pages(int... slotAndPage) {
    Map<Integer, BitSet> pages = new TreeMap<>();
    for (int i = 0; i < slotAndPage.length; i += 2) {
      pages.computeIfAbsent(slotAndPage[i], id -> new BitSet()).set(slotAndPage[i + 1]);
    }
    return pages;
  }

  private static BitSet bits(int... pages) {
    BitSet bits = new BitSet();
    for (int page : pages) {
      bits.set(page);
    }
    return bits;
  }

  private static BitSet dirtyOf(DirtyClient<GuestSlot> client, int slotId) {
    return Dirty.take(client).getOrDefault(slotId, new BitSet());
  }

  private static BitSet dirty(RemovedSlot<GuestSlot> removed) throws IOException {
    BitSet pages = new BitSet();
    removed.forEachRun((slot, first, count) -> {
      assertEquals(count * slot.pageSize(), slot.pages(first, count).byteSize());
      pages.set((int) first, (int) (first + count));
    });
    assertEquals(pages.cardinality(), removed.dirtyPages());
    return pages;
  }

  @ParameterizedTest
  @EnumSource
  void move_bitsGoAlong(LogKind kind) {
    try (TransactionGuest guest = new TransactionGuest(kind)) {
      GuestSlot before = guest.memory.slot(5);
      assertEquals(List.of(), guest.begin().move(5, FAR).commit(), "the guest lost nothing");
      assertEquals(FAR, guest.memory.slot(5).guestAddress());
      assertThrows(GuestAccessException.class, () -> guest.vcpu.getByte(BASE));
      assertEquals(70, guest.vcpu.getByte(FAR + 70 * PAGE));
      guest.vcpu.putByte(FAR + 9 * PAGE, (byte) 9);
      assertEquals(pages(5, 9, 5, 70), Dirty.take(guest.one));
      assertEquals(pages(5, 3, 5, 9, 5, 70), Dirty.take(guest.two));
      assertEquals(Map.of(), Dirty.take(guest.one));
      assertThrows(IllegalArgumentException.class, () -> guest.one.takeRange(before, 0, 1));
    }
  }

  @ParameterizedTest
  @EnumSource
  void grow_onlyTheNewPagesAreDirtyAndZero(LogKind kind) {
    try (TransactionGuest guest = new TransactionGuest(kind)) {
      guest.begin().resize(5, 103 * PAGE).commit();
      assertEquals(pages(5, 70, 5, 100, 5, 101, 5, 102), Dirty.take(guest.one));
      assertEquals(pages(5, 3, 5, 70, 5, 100, 5, 101, 5, 102), Dirty.take(guest.two));
      assertEquals(70, guest.vcpu.getByte(BASE + 70 * PAGE));
      assertEquals(0, guest.vcpu.getByte(BASE + 101 * PAGE));
      guest.put(101);
      assertEquals(pages(5, 101), Dirty.take(guest.one));
    }
  }

  @ParameterizedTest
  @EnumSource
  void shrink_tailGoesToTheRemover_andCanGrowAgainWhenThatIsClosed(LogKind kind)
      throws IOException {
    try (TransactionGuest guest = new TransactionGuest(kind)) {
      RemovedSlot<GuestSlot> tail = guest.begin().resize(5, 64 * PAGE).commit().getFirst();
      assertEquals(pages(0, 70).get(0), dirty(tail));
      assertEquals(
          70, tail.slot().pages(0, tail.slot().pageCount()).get(ValueLayout.JAVA_BYTE, 70 * PAGE));
      assertTrue(tail.slot().pages(0, tail.slot().pageCount()).isReadOnly());
      assertEquals(Map.of(), Dirty.take(guest.one));
      assertEquals(pages(5, 3), Dirty.take(guest.two));
      try (SlotTransaction change = guest.begin()) {
        assertThrows(IllegalArgumentException.class, () -> change.resize(5, 100 * PAGE));
      }
      tail.close();
      tail.close();
      guest.begin().resize(5, 100 * PAGE).commit();
      assertEquals(0, guest.vcpu.getByte(BASE + 70 * PAGE), "new pages are zero");
      assertEquals(36, dirtyOf(guest.one, 5).cardinality());
    }
  }

  @ParameterizedTest
  @EnumSource
  void splitAndMerge_bitsStayWhereTheyWere(LogKind kind) {
    try (TransactionGuest guest = new TransactionGuest(kind)) {
      assertEquals(List.of(), guest.begin().split(5, 65 * PAGE, 6).commit());
      assertEquals(BASE + 65 * PAGE, guest.memory.slot(6).guestAddress());
      assertEquals(pages(6, 5), Dirty.take(guest.one));
      guest.put(64);
      guest.put(65);
      assertEquals(List.of(), guest.begin().merge(5, 6).commit());
      assertEquals(100, guest.memory.slot(5).pageCount());
      assertEquals(pages(5, 64, 5, 65), Dirty.take(guest.one));
      assertEquals(pages(5, 3, 5, 64, 5, 65, 5, 70), Dirty.take(guest.two));
      assertEquals(1, guest.memory.slots().size());
    }
  }

  @ParameterizedTest
  @EnumSource
  void batch_openAcrossAMove_readableAndGivenBack(LogKind kind) throws IOException {
    try (TransactionGuest guest = new TransactionGuest(kind)) {
      try (DirtyBatch<GuestSlot> batch = guest.two.take()) {
        GuestSlot old = guest.memory.slot(5);
        guest.begin().move(5, FAR).commit();
        batch.forEachRun((slot, first, count) -> {
          assertSame(old, slot);
          assertEquals(first, slot.pages(first, count).get(ValueLayout.JAVA_BYTE, 0));
        });
        batch.acknowledge(old, 3, 1);
      }
      assertEquals(pages(5, 70), Dirty.take(guest.two));
    }
  }

  @ParameterizedTest
  @EnumSource
  void remove_lastBitsAndRamToTheRemover_alsoFromAnOpenBatch(LogKind kind) throws IOException {
    try (TransactionGuest guest = new TransactionGuest(kind)) {
      DirtyBatch<GuestSlot> batch = guest.two.take();
      guest.put(80);
      GuestSlot slot = guest.memory.slot(5);
      RemovedSlot<GuestSlot> removed = guest.memory.removeSlot(5);
      assertEquals(List.of(), guest.memory.slots());
      assertThrows(GuestAccessException.class, () -> guest.put(1));
      assertThrows(GuestAccessException.class, () -> guest.memory.device().putByte(BASE, (byte) 1));
      assertEquals(pages(0, 70, 0, 80).get(0), dirty(removed));
      batch.close();
      assertEquals(pages(0, 3, 0, 70, 0, 80).get(0), dirty(removed));
      assertEquals(80, removed.slot().ram().get(ValueLayout.JAVA_BYTE, 80 * PAGE));
      assertTrue(slot.ram().scope().isAlive());
      removed.close();
      assertFalse(slot.ram().scope().isAlive(), "unmapped");
      assertEquals(Map.of(), Dirty.take(guest.one));
    }
  }

  @Test
  void replaceRam_otherMemoryIsAllDirty_theSameIsCarried() throws IOException {
    MemorySegment ram = MemorySegment.ofArray(new long[200 * PAGE / 8]);
    try (TransactionGuest guest = new TransactionGuest(LogKind.BITMAP)) {
      RemovedSlot<GuestSlot> old =
          guest.begin().replaceRam(5, ram.asSlice(0, 100 * PAGE)).commit().get(0);
      assertEquals(pages(0, 3, 0, 70).get(0), dirty(old));
      old.close();
      assertEquals(100, dirtyOf(guest.one, 5).cardinality());
      assertEquals(0, guest.vcpu.getByte(BASE + 70 * PAGE));
      guest.put(7);
      assertEquals(List.of(), guest.begin().replaceRam(5, ram.asSlice(0, 102 * PAGE)).commit());
      assertEquals(pages(5, 7, 5, 100, 5, 101), Dirty.take(guest.one));
    }
  }

  @Test
  void samePages_ofAnotherSize_areAllDirty() throws IOException {
    MemorySegment ram = MemorySegment.ofArray(new long[8 * PAGE]);
    try (TransactionGuest guest = new TransactionGuest(LogKind.BITMAP)) {
      guest.memory.addSlot(6, FAR, ram, PAGE);
      Dirty.take(guest.one);
      Dirty.take(guest.two);
      guest.vcpu.putByte(FAR, (byte) 1);
      RemovedSlot<GuestSlot> old =
          guest.begin().remove(6).add(6, FAR, ram, 2 * PAGE).commit().get(0);
      assertEquals(pages(0, 0).get(0), dirty(old));
      assertEquals(32, dirtyOf(guest.one, 6).cardinality());
    }
  }

  @Test
  void step_wrongInput_refusedAndTheOthersStay() {
    try (TransactionGuest guest = new TransactionGuest(LogKind.BITMAP);
        SlotTransaction change = guest.begin()) {
      MemorySegment ram = MemorySegment.ofArray(new byte[3 * PAGE]);
      change.add(6, FAR, 4 * PAGE, PAGE);
      List<Runnable> wrong =
          List.of(
              () -> change.add(6, 0, PAGE, PAGE),
              () -> change.add(5, 0, PAGE, PAGE),
              () -> change.add(-1, 0, PAGE, PAGE),
              () -> change.add(32_764, 0, PAGE, PAGE),
              () -> change.add(7, FAR + 3 * PAGE, PAGE, PAGE),
              () -> change.add(7, BASE - PAGE, 2 * PAGE, PAGE),
              () -> change.add(7, BASE - PAGE, 1000 * PAGE, PAGE),
              () -> change.add(7, 1, PAGE, PAGE),
              () -> change.add(7, 0, PAGE + 1, PAGE),
              () -> change.add(7, 0, 0, PAGE),
              () -> change.add(7, 0, 384, 384),
              () -> change.add(7, -PAGE, 2 * PAGE, PAGE),
              () -> change.add(7, 0, ram.asReadOnly(), PAGE),
              () -> change.remove(9),
              () -> change.move(9, 0),
              () -> change.move(5, 1),
              () -> change.move(5, FAR),
              () -> change.move(5, -PAGE),
              () -> change.resize(9, PAGE),
              () -> change.resize(5, 0),
              () -> change.resize(5, -PAGE),
              () -> change.resize(5, PAGE + 1),
              () -> change.resize(5, 1L << 40),
              () -> change.split(5, 0, 7),
              () -> change.split(5, 100 * PAGE, 7),
              () -> change.split(5, 1, 7),
              () -> change.split(5, PAGE, 6),
              () -> change.split(5, PAGE, 5),
              () -> change.merge(5, 6),
              () -> change.merge(5, 5),
              () -> change.replaceRam(5, ram.asReadOnly()),
              () -> change.replaceRam(9, ram));
      for (int i = 0; i < wrong.size(); i++) {
        Runnable each = wrong.get(i);
        String which = "step " + i;
        assertThrows(IllegalArgumentException.class, each::run, which);
      }
      assertEquals(1, guest.memory.slots().size());
      change.commit();
      assertEquals(List.of(5, 6), guest.memory.slots().stream().map(GuestSlot::id).toList());
      assertThrows(IllegalStateException.class, () -> change.remove(5));
      assertThrows(IllegalStateException.class, change::commit);
      assertEquals(4, dirtyOf(guest.one, 6).cardinality());
    }
  }

  @Test
  void bug17_cursorsOfTheVcpuThatCommits_followTheSlot() {
    try (TransactionGuest guest = new TransactionGuest(LogKind.BITMAP)) {
      assertEquals(3, guest.vcpu.getByte(BASE + 3 * PAGE));
      guest.put(3);
      guest.begin().move(5, FAR).commit();
      assertThrows(GuestAccessException.class, () -> guest.put(3));
      assertThrows(GuestAccessException.class, () -> guest.vcpu.getByte(BASE));
      assertThrows(GuestAccessException.class, () -> guest.vcpu.mark(BASE, 1));
      guest.begin().move(5, BASE).commit();
      guest.put(3);
      assertEquals(pages(5, 3, 5, 70), Dirty.take(guest.one));
    }
  }

  @Test
  void asyncWrite_acrossChanges_marksWhereItsMemoryIsNow() throws IOException {
    try (TransactionGuest guest = new TransactionGuest(LogKind.BITMAP)) {
      Dirty.take(guest.one);
      AsyncWrite first = guest.memory.device().beginWrite(BASE + 10 * PAGE, 8);
      AsyncWrite second = guest.memory.device().beginWrite(BASE + 70 * PAGE, 8);
      guest.begin().move(5, FAR).resize(5, 64 * PAGE).commit().getFirst().close();
      first.target().fill((byte) 1);
      first.close();
      assertEquals(pages(5, 10), Dirty.take(guest.one));
      RemovedSlot<GuestSlot> removed = guest.memory.removeSlot(5);
      second.target().fill((byte) 2); // pinned
      second.close();
      first.close();
      assertEquals(bits(3, 10, 70).get(0, 64), dirty(removed).get(0, 64));
      removed.close();
    }
  }

  /** It is inside the one whose commit tells the listener, and is over with that. */
  @Test
  void close_begunByAListenerDuringACommit_doesNothing() {
    try (GuestMemory memory = GuestMemory.create()) {
      SlotTransaction[] begun = new SlotTransaction[1];
      memory.addListener(
          0,
          new MemoryListener() {
            @Override
            public void regionAdd(GuestSlot slot) {
              begun[0] = memory.beginTransaction();
            }
          });
      memory.addSlot(0, BASE, PAGE, PAGE);
      IllegalStateException e = assertThrows(IllegalStateException.class, () -> begun[0].remove(0));
      assertTrue(e.toString().contains("is over"), e::toString);
      begun[0].close();
      memory.removeSlot(0).close();
    }
  }
}
