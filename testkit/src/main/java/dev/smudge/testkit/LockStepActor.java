package dev.smudge.testkit;

import dev.smudge.core.GuestSlot;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.RemovedSlot;
import dev.smudge.sync.VcpuPause;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** One side of a {@link LockStep}: makes the steps of a script, and says what came of each. */
final class LockStepActor implements AutoCloseable {
  static final int OPERATIONS = 24;

  private static final int TAKE_SYNCED = 10;
  private static final int CLEAR = 17;
  private static final int PAGE = GuestMachine.PAGE;
  private static final int MAX_CLIENTS = 3;

  /** What is done, to what: everything is taken modulo what there is. */
  record Step(int operation, int a, int b, int c) {}

  final GuestMachine machine;
  private final boolean ring;
  private final List<DirtyClient<GuestSlot>> clients = new ArrayList<>();
  private @Nullable PartsTracker parts;
  private long value;

  LockStepActor(GuestMachine.Factory factory) {
    machine =
        factory.machine(real -> {
          PartsTracker made = new PartsTracker(real);
          parts = made;
          return made;
        });
    ring = machine.hasRing();
  }

  /** {@link LockStep#withoutTakeSynced}. */
  static boolean isOfMarks(int operation) {
    return operation == TAKE_SYNCED || operation == CLEAR;
  }

  /** The result, or the class of the error. */
  Object make(Step step) {
    try {
      return tryMake(step);
    } catch (Exception e) {
      if (e instanceof RuntimeException error && machine.isRefusal(error)) {
        return error.getClass().getSimpleName();
      }
      throw new AssertionError(step + ": " + e, e);
    }
  }

  private Object tryMake(Step step) throws Exception {
    return switch (step.operation) {
      case 0, 1, 2, 3, 4, 5 -> guestWrites(step);
      case 6, 7 -> hostWrites(step);
      case 8 -> sync();
      case 9 -> clients.isEmpty() ? "" : GuestMachine.take(client(step.a));
      case TAKE_SYNCED -> takeSynced(step);
      case 11 -> aborted(step);
      case 12 -> takeRange(step);
      case 13 -> takeAtMost(step);
      case 14 -> discard(step);
      case 15 -> openClient(step);
      case 16 -> closeClients(step);
      case CLEAR -> clear(step);
      case 18 -> addSlot(step);
      case 19 -> removed(List.of(machine.memory().removeSlot(1 + step.a % 6)));
      case 20 -> move(step);
      case 21 -> change(step);
      case 22 -> reap();
      default -> stop(step);
    };
  }

  private DirtyClient<GuestSlot> client(int n) {
    return clients.get(n % clients.size());
  }

  private @Nullable GuestSlot slot(int n) {
    List<GuestSlot> slots = machine.memory().slots();
    return slots.isEmpty() ? null : slots.get(n % slots.size());
  }

  private Object guestWrites(Step step) {
    if (machine.memory().slots().isEmpty()) {
      return "";
    }
    Random random = new Random(step.b);
    long[] addresses = new long[1 + step.a % (step.c % 16 == 0 ? 400 : 8)];
    for (int i = 0; i < addresses.length; i++) {
      GuestSlot slot = Objects.requireNonNull(slot(random.nextInt(1000)));
      addresses[i] =
          slot.guestAddress() + random.nextLong(slot.pageCount()) * PAGE + random.nextInt(500) * 8L;
    }
    machine.write(++value, addresses);
    return "";
  }

  private Object hostWrites(Step step) {
    GuestSlot slot = slot(step.a);
    if (slot == null) {
      return "";
    }
    long length = 1L + step.c % (3 * PAGE);
    long offset = step.b % slot.size();
    machine.memory().device().fill(slot.guestAddress() + offset, length, (byte) ++value);
    return "";
  }

  private Object sync() {
    machine.memory().log().sync();
    return clients.stream().map(DirtyClient::dirtyPages).toList();
  }

  /** What was written since the last sync stays for the next. */
  private Object takeSynced(Step step) {
    if (clients.isEmpty()) {
      return "";
    }
    Object pages = ring ? sync() : ""; // a full ring has synced, who knows when
    try (DirtyBatch<GuestSlot> batch = client(step.a).takeSynced()) {
      batch.commit();
      return List.of(pages, batch.pageCount());
    }
  }

  private Object aborted(Step step) {
    if (clients.isEmpty()) {
      return "";
    }
    try (DirtyBatch<GuestSlot> batch = client(step.a).take()) {
      return batch.pageCount();
    }
  }

  private Object takeRange(Step step) {
    GuestSlot slot = slot(step.a);
    if (slot == null || clients.isEmpty()) {
      return "";
    }
    try (DirtyBatch<GuestSlot> batch =
        client(step.a).takeRange(slot, step.b % 80, step.c % 80 - 1)) {
      batch.commit();
      return batch.pageCount();
    }
  }

  private Object takeAtMost(Step step) {
    if (clients.isEmpty()) {
      return "";
    }
    try (DirtyBatch<GuestSlot> batch = client(step.a).takeAtMost(step.b % 60)) {
      long pages = batch.pageCount();
      batch.commit();
      return pages;
    }
  }

  private Object discard(Step step) {
    GuestSlot slot = slot(step.b);
    if (slot == null || clients.isEmpty()) {
      return "";
    }
    client(step.a).discard(slot, step.b % 60, step.c % 60 - 1);
    return client(step.a).dirtyPages();
  }

  private Object openClient(Step step) {
    if (clients.size() < MAX_CLIENTS) {
      InitialView initial = step.a % 2 == 0 ? InitialView.ALL_DIRTY : InitialView.NONE_DIRTY;
      clients.add(machine.memory().client("c", initial));
    }
    return sync();
  }

  /** One of them, or all: the log goes off. */
  private Object closeClients(Step step) {
    if (step.a % 3 == 0) {
      clients.forEach(DirtyClient::close);
      clients.clear();
    } else if (!clients.isEmpty()) {
      clients.remove(step.a % clients.size()).close();
    }
    return clients.size();
  }

  /** Behind the log's back. With rings there is nothing to clear, so no bit is set. */
  private Object clear(Step step) {
    GuestSlot slot = slot(step.a);
    if (slot == null) {
      return "";
    }
    long pages = slot.pageCount();
    long first = step.b % 3 == 0 ? step.b % 200 : step.b % 4 * 64L;
    long count =
        switch (step.c % 4) {
          case 0 -> step.c % 300 - 1;
          case 1 -> pages - first;
          case 2 -> 64;
          default -> step.c % 2 == 0 ? 0 : 1L << 32;
        };
    long[] bits = ring ? new long[8] : new Random(step.c).longs(8).toArray();
    Objects.requireNonNull(parts).part(slot).clear(first, count, bits);
    return sync();
  }

  private static long address(int n) {
    return GuestMachine.BASE + n % 600 * (long) PAGE + (n % 37 == 0 ? 8 : 0);
  }

  private String addSlot(Step step) {
    int id = 1 + step.a % 6;
    int pages = 1 + step.c % 150;
    GuestSlot slot =
        step.a % 5 == 0
            ? machine.memory().addSlot(id, address(step.b), machine.ram(pages), PAGE)
            : machine.memory().addSlot(id, address(step.b), (long) pages * PAGE);
    return slot.toString();
  }

  private Object move(Step step) {
    try (var change = machine.memory().beginTransaction()) {
      return removed(change.move(1 + step.a % 6, address(step.b)).commit());
    }
  }

  private Object change(Step step) {
    int id = 1 + step.a % 6;
    int other = 1 + step.b % 6;
    try (var change = machine.memory().beginTransaction()) {
      switch (step.c % 4) {
        case 0 -> change.resize(id, (1 + step.b % 200L) * PAGE);
        case 1 -> change.split(id, (1 + step.b % 70L) * PAGE, other);
        case 2 -> change.merge(id, other);
        default -> change.remove(id).add(id, address(step.b), (1 + step.b % 90L) * PAGE, PAGE);
      }
      return removed(change.commit());
    }
  }

  private static Object removed(List<RemovedSlot<GuestSlot>> removed) {
    long pages = 0;
    for (RemovedSlot<GuestSlot> slot : removed) {
      pages += slot.dirtyPages();
      slot.close();
    }
    return List.of((long) removed.size(), pages);
  }

  private Object reap() {
    if (ring) {
      machine.memory().log().reap(); // how full is full is each one's own
    }
    return "";
  }

  private Object stop(Step step) {
    if (step.a % 2 == 0) {
      VcpuPause pause = machine.memory().log().pause();
      try {
        return sync();
      } finally {
        pause.close();
      }
    }
    machine.memory().seal();
    Set<String> last = clients.isEmpty() ? Set.of() : GuestMachine.take(client(step.b));
    machine.memory().unseal();
    return last;
  }

  /** Where the RAM of two differs, null if nowhere. */
  static @Nullable String difference(LockStepActor one, LockStepActor other) {
    List<GuestSlot> slots = one.machine.memory().slots();
    List<GuestSlot> others = other.machine.memory().slots();
    if (!slots.toString().equals(others.toString())) {
      return slots + " and " + others;
    }
    for (int i = 0; i < slots.size(); i++) {
      MemorySegment ram = slots.get(i).ram();
      if (ram.mismatch(others.get(i).ram()) >= 0) {
        return "RAM of " + slots.get(i);
      }
    }
    return null;
  }

  @Override
  public void close() {
    machine.close();
  }
}
