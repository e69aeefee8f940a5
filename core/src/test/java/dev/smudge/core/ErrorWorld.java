package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.RemovedSlot;
import dev.smudge.sync.VcpuPause;
import dev.smudge.sync.tracker.Registration;
import dev.smudge.sync.watch.PageWatch;
import dev.smudge.sync.watch.WriteWatch;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * Guest memory in which errors come in the middle, and two clients with copies of it. Slots 0 and 1
 * adjoin: RAM of the memory's own, and the embedder's.
 */
final class ErrorWorld implements AutoCloseable {
  static final int PAGE = 4096;
  static final long SIZE = 40L * PAGE;
  static final long FREE = 1L << 30; // the address of a slot that comes and goes
  static final int EXTRA = 7;
  static final long COPY = 6 * SIZE; // see place()
  private static final byte UNKNOWN = (byte) 0xee;

  final Arena arena = Arena.ofShared();
  final List<Throwable> errors = new ArrayList<>();
  final FaultyTracker[] tracker = new FaultyTracker[1];
  final GuestMemory memory;
  final MemorySegment given = arena.allocate(SIZE, PAGE);
  final Vcpu vcpu;
  final List<DirtyClient<GuestSlot>> clients = new ArrayList<>();
  final List<MemorySegment> copies = new ArrayList<>();
  private final MemorySegment extraCopy = arena.allocate(COPY, PAGE); // until it is needed again
  final byte[] bytes = new byte[3 * PAGE];
  final Random random = new Random(1);
  @Nullable DirtyBatch<GuestSlot> batch;
  @Nullable RemovedSlot<GuestSlot> removed;
  @Nullable VcpuPause pause;
  @Nullable SlotTransaction change;
  @Nullable SlotTransaction inside;
  @Nullable AsyncWrite write;
  @Nullable Registration listener;
  @Nullable PageWatch pages; // of slot 0
  @Nullable WriteWatch watch;
  @Nullable DirtyClient<GuestSlot> extraClient;
  @Nullable Vcpu otherVcpu;
  @Nullable CompletableFuture<@Nullable Void> task;
  @Nullable Throwable handlerThrows;
  boolean vcpuWaits; // the thread of the test holds a pause, and so cannot run a vCPU
  int told; // writes, by watches
  int closed; // listeners

  /** Counts its ends. */
  final class Closed implements MemoryListener {
    @Override
    public void close() {
      closed++;
    }
  }

  ErrorWorld(LogKind kind) {
    memory =
        GuestMemory.over(
            kind.builder()
                .timeout(Duration.ofSeconds(5))
                .errorHandler(this::report)
                .interceptTracker(real -> tracker[0] = new FaultyTracker(real))
                .build());
    memory.addSlot(0, 0, SIZE, PAGE);
    memory.addSlot(1, SIZE, given, PAGE);
    vcpu = memory.addVcpu();
    for (InitialView view : InitialView.values()) {
      clients.add(memory.client(view.name(), view));
      copies.add(arena.allocate(COPY, PAGE));
    }
    clients.forEach(client -> take(clients.indexOf(client)));
  }

  private void report(Throwable e) {
    errors.add(e);
    if (handlerThrows != null) {
      FaultyTracker.<RuntimeException>sneak(handlerThrows);
    }
  }

  /** Where a copy has what is at a guest address. */
  static long place(long address) {
    return address >= FREE ? address - FREE + 4 * SIZE : address;
  }

  /** With plenty of stack. */
  void write() {
    for (int i = 0; i < 6; i++) {
      if (!vcpuWaits) {
        vcpu.putLong(random.nextLong(2 * SIZE - 8), random.nextLong());
      }
      memory.device().putLong(random.nextLong(2 * SIZE - 8), random.nextLong());
    }
    if (has(EXTRA) && !vcpuWaits) {
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

  /** A client that has begun with what another one has read is told of what that one lacks. */
  void checkExtraClient(MemorySegment copy) {
    DirtyClient<GuestSlot> of = extraClient;
    if (of == null) {
      return;
    }
    write();
    int at = clients.size();
    clients.add(of);
    copies.add(at, copy);
    check();
    clients.remove(at);
    copies.remove(at);
    of.close();
    extraClient = null;
  }

  MemorySegment copyOf(MemorySegment copy) {
    return extraCopy.copyFrom(copy);
  }

  /** What has been read of all RAM by now. */
  MemorySegment copyOfRam() {
    for (GuestSlot slot : memory.slots()) {
      extraCopy.asSlice(place(slot.guestAddress()), slot.size()).copyFrom(slot.ram());
    }
    return extraCopy;
  }

  PageWatch pages() {
    PageWatch open = pages;
    if (open == null || open.isEnded()) {
      closePages();
      open = memory.watchPages(memory.slot(0), (at, length) -> told++);
      pages = open;
    }
    return open;
  }

  /** A page that is armed tells of the next write, of whichever kind. */
  void checkPages() {
    armPages();
    int before = told;
    vcpu.putByte(12 * PAGE, bytes[2]);
    memory.device().putByte(13 * PAGE, bytes[2]);
    vcpu.offline();
    assertEquals(before + 2, told, "writes to pages that were armed, told");
  }

  void armPages() {
    pages().arm(0, memory.slot(0).size());
  }

  void closePages() {
    if (pages != null) {
      pages.close();
      pages = null;
    }
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
