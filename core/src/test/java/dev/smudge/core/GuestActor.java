package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.TransactionActor.Step;
import dev.smudge.core.TransactionModel.Async;
import dev.smudge.core.TransactionModel.Lost;
import dev.smudge.core.TransactionModel.Pages;
import dev.smudge.core.TransactionModel.Slot;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.RemovedSlot;
import dev.smudge.sync.tracker.Registration;
import dev.smudge.sync.tracker.Tracker;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * The guest of a {@link TransactionActor}: its memory and a {@link TransactionModel} of it, who
 * writes, and who collects; and the comparison of the two.
 */
@SuppressWarnings("ReferenceEquality") // slots are compared by identity
final class GuestActor implements AutoCloseable {
  static final int UNIT = TransactionModel.UNIT;
  private static final long BASE = 0x4000_0000L;
  private static final int MOST_CLIENTS = 3;

  private record Client(DirtyClient<GuestSlot> real, TransactionModel.Client model) {}

  private record Batch(DirtyBatch<GuestSlot> real, TransactionModel.Batch model) {}

  private record Handle(RemovedSlot<GuestSlot> real, Lost model) {}

  private record Write(AsyncWrite real, Async model) {}

  final GuestMemory memory;
  final TransactionModel model = new TransactionModel();
  final FaultyTracker[] backend = new FaultyTracker[1];
  private final List<Throwable> errors = new CopyOnWriteArrayList<>();
  private final Vcpu[] vcpus = new Vcpu[2];
  private final List<FoldingListener> listeners = new ArrayList<>();
  private final List<Registration> registrations = new ArrayList<>();
  private final List<Client> clients = new ArrayList<>();
  private final List<Batch> batches = new ArrayList<>();
  private final List<Handle> handles = new ArrayList<>();
  private final List<Write> writes = new ArrayList<>();
  private final Map<Slot, GuestSlot> real = new HashMap<>();
  private final Map<GuestSlot, Slot> models = new HashMap<>();
  private Map<Integer, Slot> looked = Map.of(); // the map in which addresses were looked up last
  private int vcpu;
  private byte value;

  GuestActor(LogKind kind, UnaryOperator<Tracker> interceptor) {
    memory =
        GuestMemory.over(
            kind.builder()
                .errorHandler(errors::add)
                .interceptTracker(
                    software -> backend[0] = new FaultyTracker(interceptor.apply(software)))
                .build());
    Arrays.setAll(vcpus, i -> memory.addVcpu());
    listen(5);
    listen(-1);
  }

  static long address(int n) {
    return switch (n % 16) {
      case 0 -> -(n / 16 % 20) * (long) UNIT; // 0, or the end of the address space
      case 1 -> BASE + n % 100;
      default -> BASE + n / 16 % 200 * (long) UNIT;
    };
  }

  /** Where something is written: often at a border of a page or a slot. */
  private long target(int n, int m) {
    List<Slot> all = List.copyOf(model.slots.values());
    if (all.isEmpty() || n % 16 == 0) {
      return address(m);
    }
    Slot slot = all.get(n / 16 % all.size());
    long page = m % slot.pageCount();
    return slot.address + page * slot.pageSize + (m / 256 % 3 == 0 ? m % 17 - 8 : m % 200);
  }

  // Writes.

  private byte[] bytes(int length) {
    byte[] bytes = new byte[length];
    Arrays.fill(bytes, ++value);
    return bytes;
  }

  void guestWrites(Step step) {
    long at = target(step.a(), step.b());
    int length = step.c() % 5 == 4 ? 1 + step.c() / 5 % 900 : 1 << step.c() % 5;
    byte[] bytes = bytes(length);
    long all = value * 0x0101_0101_0101_0101L;
    Vcpu guest = vcpus[vcpu];
    write(
        at,
        bytes,
        () -> {
          switch (step.c() % 5) {
            case 0 -> guest.putByte(at, value);
            case 1 -> guest.putShort(at, (short) all);
            case 2 -> guest.putInt(at, (int) all);
            case 3 -> guest.putLong(at, all);
            default -> guest.fill(at, length, value);
          }
        });
    if (step.c() % 3 == 0) {
      guest.safepoint();
    }
  }

  void deviceWrites(Step step) {
    long at = target(step.a(), step.b());
    byte[] bytes = bytes(1 + step.c() % 700);
    write(at, bytes, () -> memory.device().write(at, MemorySegment.ofArray(bytes)));
  }

  private void write(long at, byte[] bytes, Runnable write) {
    boolean covered = model.covers(at, bytes.length);
    Class<?> thrown = thrown(write);
    assertEquals(covered ? null : GuestAccessException.class, thrown, "a write");
    if (covered) {
      model.write(at, bytes);
    }
  }

  void beginWrite(Step step) {
    long at = target(step.a(), step.b());
    int length = 1 + step.c() % 600;
    Slot slot = model.find(at, length);
    if (slot != null) {
      Async async = new Async(slot, at - slot.address, length);
      model.asyncs.add(async);
      writes.add(new Write(memory.device().beginWrite(at, length), async));
    }
  }

  void land(Step step) {
    if (!writes.isEmpty()) {
      Write write = writes.remove(step.a() % writes.size());
      byte[] bytes = bytes(write.model.length());
      write.real.target().copyFrom(MemorySegment.ofArray(bytes));
      write.real.close();
      model.land(write.model, bytes);
    }
  }

  /** A commit has made its change, in the model too. */
  void committed(List<Lost> lost, List<RemovedSlot<GuestSlot>> removed) {
    Map<Integer, Lost> byId = new HashMap<>();
    lost.forEach(each -> byId.put(each.slot.id, each));
    for (RemovedSlot<GuestSlot> handle : removed) {
      Lost each = byId.remove(handle.slot().id());
      assertNotNull(each, () -> "lost: " + handle);
      assertSame(real.get(each.slot), handle.slot());
      handles.add(new Handle(handle, each));
    }
    assertEquals(Map.of(), byId, "lost");
    for (Slot slot : model.slots.values()) {
      GuestSlot now = memory.slot(slot.id);
      GuestSlot known = real.putIfAbsent(slot, now);
      assertSame(known == null ? now : known, now, "what was not changed is the same slot");
      Slot was = models.put(now, slot);
      assertTrue(was == null || was == slot, () -> "changed, and the same slot: " + slot);
    }
  }

  void takeVcpusOffline() {
    for (Vcpu each : vcpus) {
      each.offline();
    }
  }

  // Clients.

  void openOrCloseClient(Step step) {
    if (clients.size() == MOST_CLIENTS || (step.a() % 3 == 0 && !clients.isEmpty())) {
      Client client = clients.remove(step.b() % clients.size());
      client.real.close();
      model.close(client.model);
      return;
    }
    boolean all = step.a() % 2 == 0;
    clients.add(
        new Client(
            memory.client("c", all ? InitialView.ALL_DIRTY : InitialView.NONE_DIRTY),
            model.open(all ? model.slots.values() : List.of())));
  }

  void take(Step step) {
    if (clients.isEmpty()) {
      return;
    }
    Client client = clients.get(step.a() % clients.size());
    if (client.model.open != null) {
      assertEquals(IllegalStateException.class, thrown(client.real::take));
      return;
    }
    Batch batch = take(client);
    if (step.b() % 3 != 0) {
      acknowledge(batch, step.b() % 3 == 1 ? Integer.MAX_VALUE : step.b() % 20);
    }
    if (step.c() % 3 != 0) {
      close(batch);
    } else {
      batches.add(batch);
    }
  }

  private Batch take(Client client) {
    Map<Slot, BitSet> actual = new HashMap<>();
    DirtyBatch<GuestSlot> batch = client.real.take();
    forEachPage(batch, (slot, page) -> actual.computeIfAbsent(slot, s -> new BitSet()).set(page));
    for (Slot slot : model.slots.values()) {
      assertAgrees(
          client.model.view(slot), actual.getOrDefault(slot, new BitSet()), "taken of " + slot);
    }
    assertTrue(model.slots.values().containsAll(actual.keySet()), "slots in the batch");
    return new Batch(batch, model.take(client.model, actual));
  }

  private interface PageConsumer {
    void accept(Slot slot, int page);
  }

  private void forEachPage(DirtyBatch<GuestSlot> batch, PageConsumer consumer) {
    batch.forEachRun((guestSlot, first, count) -> {
      Slot slot = Objects.requireNonNull(models.get(guestSlot));
      assertContent(slot, first * slot.pageSize, guestSlot.pages(first, count));
      for (long page = first; page < first + count; page++) {
        consumer.accept(slot, (int) page);
      }
    });
  }

  private void acknowledge(Batch batch, int pages) {
    Set<Slot> all = new HashSet<>(batch.model.pages().keySet());
    for (Slot slot : all) {
      int end = Math.min(pages, slot.pageCount());
      batch.real.acknowledge(Objects.requireNonNull(real.get(slot)), 0, end);
      Objects.requireNonNull(batch.model.pages().get(slot)).clear(0, end);
    }
  }

  /** What it holds still is as it was, wherever its slots have gone. */
  private void close(Batch batch) {
    if (!batch.model.client().closed) {
      Map<Slot, BitSet> held = new HashMap<>();
      forEachPage(
          batch.real, (slot, page) -> held.computeIfAbsent(slot, s -> new BitSet()).set(page));
      batch
          .model
          .pages()
          .forEach((slot, pages) ->
              assertEquals(pages, held.getOrDefault(slot, new BitSet()), "held of " + slot));
    }
    batch.real.close();
    model.giveBack(batch.model);
  }

  void closeBatch(Step step) {
    if (!batches.isEmpty()) {
      close(batches.remove(step.a() % batches.size()));
    }
  }

  void closeHandle(Step step) {
    for (int n = step.b() % 4; n > 0 && !handles.isEmpty(); n--) {
      Handle handle = handles.remove(step.a() % handles.size());
      handle.real.close();
      model.handles.remove(handle.model);
    }
  }

  void vcpuOrListener(Step step) {
    switch (step.a() % 4) {
      case 0 -> {
        int i = step.b() % listeners.size();
        registrations.remove(i).close();
        memory.log().rcu().barrier();
        listeners.remove(i).assertClosed();
        listen(step.c() % 5);
      }
      case 1 -> {
        vcpus[vcpu].offline();
        vcpu = 1 - vcpu;
      }
      case 2 -> vcpus[vcpu].offline();
      default -> vcpus[vcpu].safepoint();
    }
  }

  private void listen(int priority) {
    FoldingListener listener = new FoldingListener();
    registrations.add(memory.addListener(priority, listener));
    listeners.add(listener);
  }

  // Comparison.

  static @Nullable Class<?> thrown(Runnable step) {
    try {
      step.run();
      return null;
    } catch (RuntimeException e) {
      assertNotNull(e.getMessage());
      return e.getClass();
    }
  }

  private static void assertAgrees(Pages expected, BitSet actual, String what) {
    assertTrue(
        expected.agrees(actual),
        () -> what + ": " + actual + ", not " + expected.must + ", and perhaps " + expected.may);
  }

  private static void assertContent(Slot slot, long offset, MemorySegment content) {
    MemorySegment all = MemorySegment.ofArray(slot.ram.bytes);
    assertEquals(
        -1,
        content.mismatch(all.asSlice(slot.offset + offset, content.byteSize())),
        () -> "content of " + slot + " from offset " + offset);
  }

  void check(boolean count) {
    Collection<Slot> all = model.slots.values();
    List<GuestSlot> now = memory.slots();
    assertEquals(all.size(), now.size());
    for (Slot slot : all) {
      GuestSlot found = memory.slot(slot.id);
      assertSame(real.get(slot), found);
      assertTrue(now.contains(found));
      assertEquals(
          List.of(slot.id, slot.address, slot.size, slot.pageSize),
          List.of(
              (long) found.id() == slot.id ? slot.id : -1,
              found.guestAddress(),
              found.size(),
              found.pageSize()));
      assertContent(slot, 0, found.ram());
    }
    if (looked != model.slots) {
      looked = model.slots;
      all.forEach(this::checkEdges);
    }
    listeners.forEach(listener -> listener.assertAgrees(now, !clients.isEmpty()));
    handles.forEach(this::check);
    if (count) {
      memory.log().sync();
      clients.forEach(this::checkCount);
    }
    assertEquals(List.of(), errors, "reported");
  }

  private void checkEdges(Slot slot) {
    for (long edge : new long[] {slot.address, slot.address + slot.size}) {
      checkFound(edge - 1, 1);
      checkFound(edge, 1);
      checkFound(edge - 4, 8);
    }
  }

  private void checkFound(long at, int length) {
    Class<?> expected = model.covers(at, length) ? null : GuestAccessException.class;
    MemorySegment target = MemorySegment.ofArray(new byte[length]);
    assertEquals(expected, thrown(() -> memory.device().read(at, target)), "found");
    assertEquals(expected, thrown(() -> vcpus[vcpu].read(at, target)), "found by the vCPU");
  }

  private void check(Handle handle) {
    BitSet pages = new BitSet();
    handle.real.forEachRun((slot, first, count) -> {
      pages.set((int) first, (int) (first + count));
      assertContent(handle.model.slot, first * slot.pageSize(), slot.pages(first, count));
    });
    assertAgrees(handle.model.dirty, pages, "lost of " + handle.model.slot);
  }

  private void checkCount(Client client) {
    int least = 0;
    int most = 0;
    for (Slot slot : model.slots.values()) {
      Pages view = client.model.view(slot);
      BitSet both = (BitSet) view.must.clone();
      both.or(view.may);
      least += view.must.cardinality();
      most += both.cardinality();
    }
    long dirty = client.real.dirtyPages();
    assertTrue(least <= dirty && dirty <= most, "dirty: " + dirty + ", not " + least + "-" + most);
  }

  /** Takes everything, and compares it. */
  void finish() {
    for (Client client : clients) {
      if (client.model.open == null) {
        close(take(client));
      }
    }
    while (!batches.isEmpty()) {
      close(batches.removeLast());
    }
    clients.forEach(client -> acknowledge(take(client), Integer.MAX_VALUE));
    check(false);
  }

  @Override
  public void close() {
    writes.forEach(write -> write.real.close());
    for (Vcpu each : vcpus) {
      each.close();
    }
    memory.close();
  }
}
