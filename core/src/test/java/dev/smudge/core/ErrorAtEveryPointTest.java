package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.PagePort;
import dev.smudge.sync.RemovedSlot;
import dev.smudge.sync.VcpuPause;
import dev.smudge.sync.tracker.Registration;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every operation on guest memory, cut short by an error at every call that it makes, and at every
 * call of the tracker. Afterwards two clients are told of every byte that their copies lack, and
 * later calls work.
 */
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@Tag("long")
class ErrorAtEveryPointTest {
  private static final int PAGE = 4096;
  private static final long SIZE = 40L * PAGE;
  private static final long FREE = 1L << 30; // the address of a slot that comes and goes
  private static final int EXTRA = 7;
  private static final byte UNKNOWN = (byte) 0xee;

  /** Slots 0 and 1 adjoin: RAM of the memory's own, and the embedder's. */
  static final class World implements AutoCloseable {
    final Arena arena = Arena.ofShared();
    final List<Throwable> errors = new ArrayList<>();
    final FaultyTracker[] tracker = new FaultyTracker[1];
    final GuestMemory memory;
    final MemorySegment given = arena.allocate(SIZE, PAGE);
    final Vcpu vcpu;
    final List<DirtyClient<GuestSlot>> clients = new ArrayList<>();
    final List<MemorySegment> copies = new ArrayList<>();
    final byte[] bytes = new byte[3 * PAGE];
    final Random random = new Random(1);
    @Nullable DirtyBatch<GuestSlot> batch;
    @Nullable RemovedSlot<GuestSlot> removed;
    @Nullable VcpuPause pause;
    @Nullable SlotTransaction change;
    @Nullable SlotTransaction inside;
    @Nullable AsyncWrite write;
    @Nullable Registration listener;
    int closed; // listeners

    /** Counts its ends. */
    final class Closed implements MemoryListener {
      @Override
      public void close() {
        closed++;
      }
    }

    World(LogKind kind) {
      memory =
          GuestMemory.over(
              kind.builder()
                  .timeout(Duration.ofSeconds(5))
                  .errorHandler(errors::add)
                  .interceptTracker(real -> tracker[0] = new FaultyTracker(real))
                  .build());
      memory.addSlot(0, 0, SIZE, PAGE);
      memory.addSlot(1, SIZE, given, PAGE);
      vcpu = memory.addVcpu();
      for (InitialView view : InitialView.values()) {
        if (view != InitialView.NONE_DIRTY || clients.isEmpty()) {
          clients.add(memory.client(view.name(), view));
        }
        copies.add(arena.allocate(FREE >>> 8, PAGE));
      }
      clients.forEach(client -> take(clients.indexOf(client)));
    }

    /** Where a copy has what is at a guest address. */
    private static long place(long address) {
      return address >= FREE ? address - FREE + 4 * SIZE : address;
    }

    /** With plenty of stack. */
    void write() {
      for (int i = 0; i < 6; i++) {
        vcpu.putLong(random.nextLong(2 * SIZE - 8), random.nextLong());
        memory.device().putLong(random.nextLong(2 * SIZE - 8), random.nextLong());
      }
      if (has(EXTRA)) {
        vcpu.putLong(FREE + random.nextLong(memory.slot(EXTRA).size() - 8), random.nextLong());
      }
      random.nextBytes(bytes);
      vcpu.offline();
    }

    boolean has(int id) {
      return memory.slots().stream().anyMatch(slot -> slot.id() == id);
    }

    void copyOut(int client, DirtyBatch<GuestSlot> taken) {
      taken.forEachRun((slot, first, count) -> {
        long at = slot.guestAddress() + first * PAGE;
        MemorySegment pages = slot.pages(first, count);
        MemorySegment.copy(pages, 0, copies.get(client), place(at), pages.byteSize());
        taken.acknowledge(slot, first, count);
      });
    }

    void take(int client) {
      try (DirtyBatch<GuestSlot> taken = clients.get(client).take()) {
        copyOut(client, taken);
      }
    }

    void forget(long address, long size) {
      copies.forEach(copy -> copy.asSlice(place(address), size).fill(UNKNOWN));
    }

    void check() {
      for (int round = 0; round < 2; round++) {
        for (int client = 0; client < clients.size(); client++) {
          take(client);
          for (GuestSlot slot : memory.slots()) {
            long differs =
                copies
                    .get(client)
                    .asSlice(place(slot.guestAddress()), slot.size())
                    .mismatch(slot.ram());
            assertEquals(-1, differs, "lost for client " + client + " in " + slot);
          }
        }
        write();
      }
      memory.log().rcu().synchronize(); // no section is left behind
    }

    void dropExtra() {
      if (removed != null) {
        removed.close();
        removed = null;
      }
      if (has(EXTRA)) {
        memory.removeSlot(EXTRA).close();
      }
      forget(FREE, 2 * SIZE);
    }

    void addExtra() {
      forget(FREE, 2 * SIZE);
      memory.addSlot(EXTRA, FREE, SIZE, PAGE);
      check();
      write();
    }

    void commit() {
      Objects.requireNonNull(change).commit().forEach(RemovedSlot::close);
    }

    /** All of a step or nothing: the addresses of slots 0 and 1 are there in any case. */
    void commitIfWhole() {
      try {
        commit();
      } catch (IllegalStateException e) {
        assertTrue(String.valueOf(e.getMessage()).contains("cut short by an error"), e::toString);
      }
      Objects.requireNonNull(change).close();
      long size = 0;
      for (GuestSlot slot : memory.slots()) {
        size += slot.guestAddress() < 2 * SIZE ? slot.size() : 0;
      }
      assertEquals(2 * SIZE, size);
    }

    /** If it was not made: the transaction is open still. */
    void commitAgain() {
      if (!has(EXTRA) || memory.slot(EXTRA).size() < 2 * SIZE) {
        commit();
      }
      assertEquals(2 * SIZE, memory.slot(EXTRA).size());
      Objects.requireNonNull(change).close();
    }

    @Override
    public void close() {
      tracker[0].untilFault = -1;
      memory.close();
      arena.close();
    }
  }

  /** What is cut short, with what comes before and after it. */
  record Operation(
      String name, Consumer<World> before, Consumer<World> call, Consumer<World> after) {
    Operation(String name, Consumer<World> call) {
      this(name, w -> {}, call, w -> {});
    }

    @Override
    public String toString() {
      return name;
    }
  }

  private static void change(World w, Consumer<SlotTransaction> steps) {
    try (SlotTransaction change = w.memory.beginTransaction()) {
      steps.accept(change);
      change.commit();
      change.removed().forEach(RemovedSlot::close);
    }
  }

  private static final long AT = SIZE - PAGE - 5; // three pages over the border of slots 0 and 1

  private static List<Operation> operations() {
    return List.of(
        new Operation("vCPU write", w -> w.vcpu.write(AT, w.bytes, 0, w.bytes.length)),
        new Operation("vCPU fill", w -> w.vcpu.fill(AT, w.bytes.length, w.bytes[0])),
        new Operation("vCPU copy", w -> w.vcpu.copy(5 * PAGE, AT, w.bytes.length)),
        new Operation("vCPU long over a border", w -> w.vcpu.putLong(SIZE - 3, w.bytes[0])),
        new Operation("device write", w -> w.memory.device().write(AT, w.bytes)),
        new Operation("device fill", w -> w.memory.device().fill(AT, 2 * PAGE, w.bytes[0])),
        new Operation("device long", w -> w.memory.device().putLong(AT, w.bytes[0])),
        new Operation("device long over a border", w -> w.memory.device().putLong(SIZE - 3, 5)),
        new Operation("release", w -> w.memory.device().release(AT, 2 * PAGE)),
        new Operation(
            "write as a client",
            w -> {},
            w -> {
              MemorySegment all = MemorySegment.ofArray(w.bytes);
              w.memory.device().writeAs(w.clients.getFirst(), AT, all);
            },
            w -> // a client knows what it writes itself
            w.memory.device().read(AT, w.copies.getFirst().asSlice(AT, w.bytes.length))),
        new Operation(
            "asynchronous write",
            w -> {
              try (AsyncWrite write = w.memory.device().beginWrite(AT - PAGE, PAGE)) {
                write.target().fill(w.bytes[0]);
              }
            }),
        new Operation(
            "begin of an asynchronous write",
            w -> {},
            w -> w.write = w.memory.device().beginWrite(AT - PAGE, PAGE),
            w -> {
              if (w.write != null) {
                w.write.close();
                w.write = null;
              }
              w.memory.seal(); // waits for those that are open
              w.memory.unseal();
            }),
        new Operation(
            "listener",
            w -> w.closed = 0,
            w -> w.listener = w.memory.addListener(0, w.new Closed()),
            w -> {
              if (w.listener != null) {
                w.listener.close();
                w.listener = null;
              }
              w.memory.log().sync();
              w.memory.log().rcu().barrier();
              assertTrue(w.closed <= 1, "closed " + w.closed + " times");
            }),
        new Operation(
            "take, and read of pages",
            w -> {},
            w -> {
              DirtyBatch<GuestSlot> taken = w.clients.getFirst().take();
              w.batch = taken;
              w.copyOut(0, taken);
            },
            w -> {
              if (w.batch != null) {
                w.batch.close();
              }
            }),
        new Operation("touched pages", w -> w.memory.slot(0).nextTouchedPage(0)),
        new Operation(
            "read by a port",
            w -> {
              PagePort<GuestSlot> port = w.memory.pages();
              port.read(w.memory.slot(0), 3, new byte[PAGE]);
            }),
        new Operation("add", World::dropExtra, w -> w.memory.addSlot(EXTRA, FREE, SIZE), w -> {}),
        new Operation(
            "remove",
            w -> {
              w.dropExtra();
              w.addExtra();
            },
            w -> w.removed = w.memory.removeSlot(EXTRA),
            World::dropExtra),
        new Operation(
            "close of what was removed",
            w -> {
              w.dropExtra();
              w.addExtra();
              w.removed = w.memory.removeSlot(EXTRA);
            },
            w -> {
              if (w.removed != null) {
                w.removed.close();
              }
            },
            World::dropExtra),
        new Operation(
            "grow",
            w -> {
              w.dropExtra();
              w.addExtra();
            },
            w -> change(w, change -> change.resize(EXTRA, 2 * SIZE)),
            w -> {}),
        new Operation(
            "growth, tried again",
            w -> {
              w.dropExtra();
              w.addExtra();
              w.change = w.memory.beginTransaction().resize(EXTRA, 2 * SIZE);
            },
            World::commit,
            World::commitAgain),
        new Operation(
            "add, tried again",
            w -> {
              w.dropExtra();
              w.change = w.memory.beginTransaction().add(EXTRA, FREE, 2 * SIZE);
            },
            World::commit,
            World::commitAgain),
        new Operation(
            "shrink",
            w -> {
              w.dropExtra();
              w.addExtra();
            },
            w -> change(w, change -> change.resize(EXTRA, SIZE / 2)),
            w -> {}),
        new Operation(
            "split and merge",
            w -> {
              if (w.has(8)) {
                change(w, change -> change.merge(0, 8));
              }
            },
            w -> change(w, change -> change.split(0, SIZE / 2, 8)),
            w -> {}),
        new Operation(
            "steps",
            w -> {
              if (w.has(8)) {
                change(w, change -> change.merge(0, 8));
              }
              w.change = w.memory.beginTransaction();
            },
            w -> Objects.requireNonNull(w.change).split(0, SIZE / 2, 8),
            World::commitIfWhole),
        new Operation(
            "steps inside",
            w -> {
              if (w.has(8)) {
                change(w, change -> change.merge(0, 8));
              }
              w.change = w.memory.beginTransaction().split(0, SIZE / 2, 8);
              w.inside = w.memory.beginTransaction().merge(0, 8);
            },
            w -> Objects.requireNonNull(w.inside).close(),
            w -> {
              Objects.requireNonNull(w.inside).close(); // again, if that was cut short
              w.commitIfWhole();
            }),
        new Operation(
            "replace RAM",
            w -> {},
            w -> change(w, change -> change.replaceRam(1, w.given.asSlice(0, SIZE))),
            w -> {}),
        new Operation(
            "pause of all",
            w -> {},
            w -> w.pause = w.memory.pauseAll(),
            w -> {
              if (w.pause != null) {
                w.pause.close();
                w.pause = null;
              }
            }));
  }

  static Stream<Arguments> cases() {
    return operations().stream()
        .flatMap(each -> Stream.of(LogKind.values()).map(kind -> Arguments.of(each, kind)));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void operation_stackEndsAtEveryCall_losesNothingAndLaterCallsWork(
      Operation operation, LogKind kind) throws Exception {
    World[] world = new World[1];
    int points =
        StackEnds.atEveryCall(
            () -> {
              World w = world[0];
              if (w == null) {
                w = new World(kind);
                world[0] = w;
              }
              w.write();
              operation.before.accept(w);
            },
            () -> operation.call.accept(world[0]),
            e -> {
              operation.after.accept(world[0]);
              world[0].vcpu.offline();
              world[0].check();
            });
    world[0].close();
    assertTrue(points >= 2, points + " points");
  }

  @ParameterizedTest
  @MethodSource("cases")
  void operation_errorOfEveryCallOfTheTracker_losesNothingAndLaterCallsWork(
      Operation operation, LogKind kind) {
    try (World w = new World(kind)) {
      boolean passed = false;
      for (int calls = 1; !passed; calls++) {
        w.write();
        operation.before.accept(w);
        w.tracker[0].untilFault = calls;
        try {
          operation.call.accept(w);
        } catch (FaultyTracker.Fault e) {
          // asked for
        }
        passed = w.tracker[0].untilFault > 0;
        w.tracker[0].untilFault = -1;
        operation.after.accept(w);
        w.vcpu.offline();
        w.check();
      }
    }
  }
}
