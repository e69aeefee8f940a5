package dev.smudge.core;

import dev.smudge.core.ErrorOperations.Operation;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.VcpuPause;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.Random;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What is open while errors come in other calls: an asynchronous write, the batch of a third
 * client, and a pause. Opening and closing them is cut short too, and then mended.
 */
final class HeldOpen implements AutoCloseable {
  private final ErrorWorld world;
  private final Random random;
  private final DirtyClient<GuestSlot> client;
  private final MemorySegment copy;
  private @Nullable AsyncWrite write;
  private @Nullable DirtyBatch<GuestSlot> batch;
  private @Nullable VcpuPause pause;
  private @Nullable Runnable closing; // what has to be closed now, whatever comes between

  HeldOpen(ErrorWorld world, Random random) {
    this.world = world;
    this.random = random;
    this.client = world.memory.client("held open", InitialView.ALL_DIRTY);
    this.copy = world.arena.allocate(ErrorWorld.COPY).copyFrom(world.copyOfRam());
  }

  /** Opens or closes one of them; null: not now. */
  @Nullable Runnable next() {
    return switch (random.nextInt(12)) {
      case 0 -> write == null ? begin() : land();
      case 1 -> batch == null ? take() : giveBack();
      case 2 -> pause == null ? this::pause : resume(pause);
      default -> null;
    };
  }

  private Runnable begin() {
    long length = 1 + random.nextLong(3 * ErrorWorld.PAGE);
    long at = random.nextLong(2 * ErrorWorld.SIZE - length);
    return () -> write = world.memory.device().beginWrite(at, length);
  }

  private Runnable land() {
    AsyncWrite open = Objects.requireNonNull(write);
    open.target().fill((byte) random.nextInt());
    write = null;
    closing = open::close;
    return closing;
  }

  private Runnable take() {
    world.dropExtra(); // what a batch has cannot grow
    return this::send;
  }

  /** Some of it is sent, the rest is given back by the close. */
  private void send() {
    DirtyBatch<GuestSlot> taken = client.take();
    batch = taken;
    taken.forEachRun((slot, first, count) -> {
      if (random.nextBoolean()) {
        long at = slot.guestAddress() + first * ErrorWorld.PAGE;
        MemorySegment pages = slot.pages(first, count);
        MemorySegment.copy(pages, 0, copy, ErrorWorld.place(at), pages.byteSize());
        taken.acknowledge(slot, first, count);
      }
    });
  }

  private Runnable giveBack() {
    closing = Objects.requireNonNull(batch)::close;
    batch = null;
    return closing;
  }

  private void pause() {
    pause = world.memory.pauseAll();
    world.vcpuWaits = true;
  }

  private Runnable resume(VcpuPause open) {
    world.vcpuWaits = false;
    pause = null;
    closing = open::close;
    return closing;
  }

  /** With plenty of stack. */
  void mend() {
    if (closing != null) {
      closing.run();
      closing = null;
    }
  }

  /** Whether an operation does not wait for what is open. */
  boolean allows(Operation operation) {
    String name = operation.name();
    boolean seals = name.equals("seal") || name.equals("begin of an asynchronous write");
    return !(seals && (write != null || world.vcpuWaits)) && !(runsVcpu(name) && world.vcpuWaits);
  }

  private static boolean runsVcpu(String name) {
    return Stream.of("vCPU", "watch", "pause", "window", "task").anyMatch(name::contains);
  }

  /** Nothing is lost for the client that has no batch open. */
  void check() {
    if (batch == null) {
      world.clients.add(client);
      world.copies.add(copy);
      try {
        world.check();
      } finally {
        world.clients.removeLast();
        world.copies.removeLast();
      }
    }
  }

  @Override
  public void close() {
    mend();
    if (write != null) {
      land().run();
    }
    if (batch != null) {
      giveBack().run();
    }
    if (pause != null) {
      resume(pause).run();
    }
    check();
  }

  @Override
  public String toString() {
    return "open:"
        + (write == null ? "" : " write")
        + (batch == null ? "" : " batch")
        + (pause == null ? "" : " pause");
  }
}
