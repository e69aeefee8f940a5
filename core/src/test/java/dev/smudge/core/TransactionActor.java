package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.core.TransactionModel.Lost;
import dev.smudge.core.TransactionModel.Ram;
import dev.smudge.core.TransactionModel.Slot;
import dev.smudge.sync.tracker.Tracker;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Objects;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/** Makes steps on a {@link GuestMemory} and on a {@link TransactionModel}, and compares the two. */
@SuppressWarnings("ReferenceEquality") // slots are compared by identity
final class TransactionActor implements AutoCloseable {
  static final int OPERATIONS = 40;
  private static final int UNIT = TransactionModel.UNIT;
  private static final int POOL_UNITS = 600;

  /** What is done, to what: everything is taken modulo what there is. */
  record Step(int operation, int a, int b, int c) {}

  private record Open(SlotTransaction real, ModelOverlay before) {}

  private interface ModelStep {
    void run(ModelOverlay overlay);
  }

  private final GuestActor guest;
  private final GuestMemory memory;
  private final TransactionModel model;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment[] pools = {
    MemorySegment.ofArray(new long[POOL_UNITS * UNIT / 8]), arena.allocate(POOL_UNITS * UNIT, 8)
  };
  private final Ram[] poolRams = {new Ram(false), new Ram(false)};
  private final Deque<Open> open = new ArrayDeque<>();
  private ModelOverlay overlay;
  int legal; // steps and commits that were
  int illegal;

  TransactionActor(LogKind kind, UnaryOperator<Tracker> interceptor) {
    guest = new GuestActor(kind, interceptor);
    memory = guest.memory;
    model = guest.model;
    overlay = new ModelOverlay(model);
    for (Ram ram : poolRams) {
      ram.bytes = new byte[POOL_UNITS * UNIT];
    }
  }

  void make(Step step) {
    switch (step.operation) {
      case 0, 1, 2, 3, 4, 5, 6 -> guest.guestWrites(step);
      case 7, 8 -> guest.deviceWrites(step);
      case 9 -> guest.beginWrite(step);
      case 10 -> guest.land(step);
      case 11, 12 -> begin();
      case 13, 14 -> add(step);
      case 15 -> remove(step);
      case 16, 17 -> move(step);
      case 18, 19 -> resize(step);
      case 20, 21 -> split(step);
      case 22, 23 -> merge(step);
      case 24, 25 -> replaceRam(step);
      case 26, 27, 28, 29 -> commit(step.a % 8 == 0 ? 1 + step.b % 12 : -1);
      case 30 -> abandon();
      case 31 -> guest.openOrCloseClient(step);
      case 32, 33, 34 -> guest.take(step);
      case 35 -> guest.closeBatch(step);
      case 36 -> guest.closeHandle(step);
      case 37 -> another(step);
      case 38 -> guest.vcpuOrListener(step);
      default -> misuse(step);
    }
    guest.check(step.c % 4 != 0);
  }

  // What a step is about.

  private static int slotId(int n) {
    return n % 64 == 0 ? (n % 3 == 0 ? -1 : 32_764) : n % 10;
  }

  private static long pageSize(int n) {
    return n % 64 == 1 ? 384 : n % 4 == 0 ? 2 * UNIT : UNIT;
  }

  private static long pages(int n) {
    return n % 8 == 0 ? n / 8 % 150 : n / 8 % 10;
  }

  private @Nullable Slot visible(int n) {
    List<Slot> all = overlay.visible();
    return all.isEmpty() || n % 16 == 0 ? null : all.get(n / 16 % all.size());
  }

  private int visibleId(int n) {
    Slot slot = visible(n);
    return slot == null ? slotId(n) : slot.id;
  }

  // Transactions.

  private void begin() {
    if (open.size() < 3) {
      open.push(new Open(memory.beginTransaction(), overlay.copy()));
    }
  }

  private void step(ModelStep inModel, Consumer<SlotTransaction> inMemory) {
    if (open.isEmpty()) {
      begin();
    }
    ModelOverlay next = overlay.copy();
    Class<?> expected = GuestActor.thrown(() -> inModel.run(next));
    assertEquals(
        expected,
        GuestActor.thrown(() -> inMemory.accept(Objects.requireNonNull(open.peek()).real)),
        "step");
    if (expected == null) {
      overlay = next;
      legal++;
    } else {
      illegal++;
    }
  }

  private void add(Step step) {
    int id = slotId(step.a);
    long address = GuestActor.address(step.b);
    long pageSize = pageSize(step.c);
    if (step.a % 2 == 0) {
      long size = pages(step.c / 8) * pageSize;
      step(
          next -> next.put(new Slot(id, address, size, pageSize, new Ram(true), 0, 0, 0)),
          change -> change.add(id, address, size, pageSize));
      return;
    }
    Segment part = new Segment(step.b % 2, step.c % 500, pages(step.c / 4), step.b % 32 == 0);
    step(
        next -> {
          part.checkWritable();
          next.put(
              new Slot(
                  id,
                  address,
                  part.end() - part.start(),
                  pageSize,
                  poolRams[part.pool],
                  part.start(),
                  part.end(),
                  part.start()));
        },
        change -> change.add(id, address, segment(part), pageSize));
  }

  /** A part of RAM of the embedder's. */
  private record Segment(int pool, long firstUnit, long units, boolean readOnly) {
    long start() {
      return firstUnit * UNIT;
    }

    long end() {
      return Math.max(firstUnit, Math.min(firstUnit + units, POOL_UNITS)) * UNIT;
    }

    void checkWritable() {
      if (readOnly) {
        throw new IllegalArgumentException("read-only");
      }
    }
  }

  private MemorySegment segment(Segment part) {
    MemorySegment segment = pools[part.pool].asSlice(part.start(), part.end() - part.start());
    return part.readOnly ? segment.asReadOnly() : segment;
  }

  private void remove(Step step) {
    int id = visibleId(step.a);
    step(next -> next.remove(id), change -> change.remove(id));
  }

  private void move(Step step) {
    int id = visibleId(step.a);
    Slot slot = visible(step.a);
    long to = GuestActor.address(step.b);
    if (slot != null && step.c % 2 == 0) { // over itself
      to = slot.address + (step.b % 9 - 4) * slot.pageSize;
    }
    long address = to;
    step(next -> next.move(id, address), change -> change.move(id, address));
  }

  private void resize(Step step) {
    int id = visibleId(step.a);
    Slot slot = visible(step.a);
    long size = pages(step.b) * UNIT;
    if (slot != null && step.c % 4 != 0) {
      size = slot.size + (step.b % 9 - 4) * slot.pageSize;
      for (Slot other : overlay.visible()) { // up to the next one
        if (step.c % 4 == 1 && other.ram == slot.ram && other.offset > slot.offset) {
          size = other.offset - slot.offset;
        }
      }
    }
    long to = size;
    step(next -> next.resize(id, to), change -> change.resize(id, to));
  }

  private void split(Step step) {
    int id = visibleId(step.a);
    Slot slot = visible(step.a);
    long at = slot == null ? UNIT : step.b % (slot.pageCount() + 1) * slot.pageSize;
    int other = slotId(step.c);
    step(next -> next.split(id, at, other), change -> change.split(id, at, other));
  }

  private void merge(Step step) {
    List<Slot> all = overlay.visible();
    int first = visibleId(step.a);
    int second = visibleId(step.b);
    for (int i = 0; i + 1 < all.size() && step.c % 4 != 0; i++) {
      Slot low = all.get((i + step.c) % (all.size() - 1));
      Slot high = all.get((i + step.c) % (all.size() - 1) + 1);
      if (low.isOver(high) && low.offset + low.size == high.offset) {
        first = low.id;
        second = high.id;
      }
    }
    int one = first;
    int two = second;
    step(next -> next.merge(one, two), change -> change.merge(one, two));
  }

  private void replaceRam(Step step) {
    int id = visibleId(step.a);
    Slot slot = visible(step.a);
    int pool = step.c % 2;
    long first = step.b % 500;
    if (slot != null && !slot.ram.own && step.c % 4 > 1) { // more or less of what it has
      pool = slot.ram == poolRams[0] ? 0 : 1;
      first = Math.clamp(slot.offset / UNIT + step.b % 9 - 4, 0, POOL_UNITS);
    }
    Segment part = new Segment(pool, first, pages(step.c / 4), step.b % 32 == 0);
    step(
        next -> {
          part.checkWritable();
          next.replaceRam(id, poolRams[part.pool], part.start(), part.end());
        },
        change -> change.replaceRam(id, segment(part)));
  }

  private void commit(int untilFault) {
    if (open.isEmpty()) {
      return;
    }
    SlotTransaction change = Objects.requireNonNull(open.peek()).real;
    if (open.size() > 1) {
      assertEquals(List.of(), change.commit());
      open.pop();
      return;
    }
    List<GuestSlot> before = memory.slots();
    guest.backend[0].untilFault = untilFault;
    Class<?> thrown = GuestActor.thrown(change::commit);
    guest.backend[0].untilFault = -1;
    if (thrown == FaultyTracker.Fault.class) {
      model.slots.values().forEach(model::mayBeDirty);
      if (before.equals(memory.slots())) {
        return; // nothing is changed, and the transaction is open
      }
      memory.log().rcu().barrier(); // what the commit could not do
      thrown = null;
    }
    committed(overlay, change, thrown);
    if (thrown == null) {
      open.pop();
      overlay = new ModelOverlay(model);
    }
  }

  private void committed(ModelOverlay steps, SlotTransaction change, @Nullable Class<?> thrown) {
    List<Lost> lost = new ArrayList<>();
    Class<?> expected = GuestActor.thrown(() -> lost.addAll(model.commit(steps)));
    assertEquals(expected, thrown, "commit");
    if (expected != null) {
      illegal++;
      return;
    }
    legal++;
    guest.committed(lost, change.removed());
  }

  private void abandon() {
    if (!open.isEmpty()) {
      Open innermost = open.pop();
      innermost.real.close();
      overlay = innermost.before;
    }
  }

  /** Another thread commits a change of its own, a transaction of this one being open perhaps. */
  private void another(Step step) {
    guest.takeVcpusOffline();
    int id = slotId(step.a);
    long address = GuestActor.address(step.b);
    long size = pages(step.c) * UNIT;
    ModelOverlay own = new ModelOverlay(model);
    boolean removes = model.slots.containsKey(id);
    Class<?> expected =
        GuestActor.thrown(() -> {
          if (removes) {
            own.remove(id);
          }
          own.put(new Slot(id, address, size, UNIT, new Ram(true), 0, 0, 0));
        });
    Threads.runAll(
        1,
        index -> {
          try (SlotTransaction change = memory.beginTransaction()) {
            assertEquals(
                expected,
                GuestActor.thrown(
                    () -> (removes ? change.remove(id) : change).add(id, address, size, UNIT)),
                "another's step");
            if (expected == null) {
              committed(own, change, GuestActor.thrown(change::commit));
            }
          }
        });
  }

  private void misuse(Step step) {
    if (open.size() > 1) {
      SlotTransaction outer = Objects.requireNonNull(open.peekLast()).real;
      assertEquals(IllegalStateException.class, GuestActor.thrown(() -> outer.remove(0)));
      assertEquals(IllegalStateException.class, GuestActor.thrown(outer::commit));
      assertEquals(IllegalStateException.class, GuestActor.thrown(outer::close));
    }
    if (!open.isEmpty()) {
      assertEquals(
          IllegalStateException.class,
          GuestActor.thrown(() -> memory.addSlot(slotId(step.a), 0, 4096)));
      assertEquals(
          IllegalStateException.class, GuestActor.thrown(() -> memory.removeSlot(slotId(step.a))));
    }
  }

  /** Ends whatever is open, and compares everything. */
  void finish() {
    abandonAll();
    guest.finish();
  }

  private void abandonAll() {
    while (!open.isEmpty()) {
      abandon();
    }
  }

  @Override
  public void close() {
    abandonAll();
    guest.close();
    arena.close();
  }
}
