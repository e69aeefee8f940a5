package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.RemovedSlot;
import dev.smudge.sync.rcu.RcuException;
import dev.smudge.sync.tracker.ForwardingTracker;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Every step of a transaction, and what is dirty after it. */
@Timeout(120)
class SlotTransactionTest {
  private static final int PAGE = 256;
  private static final long BASE = 0x4000_0000L;
  private static final long FAR = 0x8000_0000L;

  /**
   * A slot of 100 pages, one vCPU, a client that has seen all but page 70, one all but 3 and 70.
   */
  private static final class Guest implements AutoCloseable {
    final GuestMemory memory;
    final Vcpu vcpu;
    final DirtyClient<GuestSlot> one;
    final DirtyClient<GuestSlot> two;

    Guest(LogKind kind) {
      memory = kind.memory();
      memory.addSlot(5, BASE, 100 * PAGE, PAGE);
      vcpu = memory.addVcpu();
      one = memory.client("one", InitialView.NONE_DIRTY);
      two = memory.client("two", InitialView.NONE_DIRTY);
      put(3);
      Dirty.take(one);
      put(70);
    }

    void put(int page) {
      vcpu.putByte(BASE + (long) page * PAGE, (byte) page);
    }

    SlotTransaction begin() {
      return memory.beginTransaction();
    }

    @Override
    public void close() {
      vcpu.close();
      memory.close();
    }
  }

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
    try (Guest guest = new Guest(kind)) {
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
    try (Guest guest = new Guest(kind)) {
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
    try (Guest guest = new Guest(kind)) {
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
    try (Guest guest = new Guest(kind)) {
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
    try (Guest guest = new Guest(kind)) {
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
    try (Guest guest = new Guest(kind)) {
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
    try (Guest guest = new Guest(LogKind.BITMAP)) {
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
    try (Guest guest = new Guest(LogKind.BITMAP)) {
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
    try (Guest guest = new Guest(LogKind.BITMAP);
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
  void nested_innerIsTakenBackAlone_outerCommitsAtOnce() {
    try (Guest guest = new Guest(LogKind.BITMAP)) {
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
    try (Guest guest = new Guest(LogKind.BITMAP);
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
    try (Guest guest = new Guest(LogKind.BITMAP);
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
  void bug17_cursorsOfTheVcpuThatCommits_followTheSlot() {
    try (Guest guest = new Guest(LogKind.BITMAP)) {
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
    try (Guest guest = new Guest(LogKind.BITMAP)) {
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
