package dev.smudge.endive;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.core.Vcpu;
import dev.smudge.mmu.MmuTracker;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Assumptions;
import run.endive.runtime.Memory;
import run.endive.wasm.types.MemoryLimits;

/** A guest memory with one slot, a client, and a copy that is fed with nothing but dirty pages. */
final class Guest implements AutoCloseable {
  /** Whether the kernel finds the writes of all guests here, and nobody marks any. */
  static final boolean MMU = "mmu".equals(System.getProperty("smudge.endive.tracker"));

  final GuestMemory memory = GuestMemory.over(MMU ? mmu() : DirtyLog.create());
  final GuestSlot slot;
  final Vcpu vcpu;
  final DirtyClient<GuestSlot> client;
  private final byte[] copy;

  /** A slot for so many WebAssembly pages. */
  Guest(int maximumPages) {
    slot = memory.addSlot(0, 0x10_0000, (long) maximumPages * Memory.PAGE_SIZE);
    vcpu = memory.addVcpu();
    client = memory.client("copy", InitialView.ALL_DIRTY);
    copy = new byte[(int) slot.size()];
    copyDirtyPages();
  }

  private static DirtyLog mmu() {
    Optional<String> whyNot = MmuTracker.whyNot();
    if (whyNot.isPresent() && !"required".equals(System.getProperty("smudge.mmu"))) {
      System.out.println("Guests over the MMU are skipped: " + whyNot.get());
      Assumptions.abort(whyNot.get());
    }
    return MmuTracker.log();
  }

  TrackedMemory linear(MemoryLimits limits) {
    return TrackedMemory.over(slot, vcpu, limits);
  }

  TrackedMemory linear(int initialPages) {
    return linear(new MemoryLimits(initialPages));
  }

  /** Takes, copies, and returns the 4 KiB pages that were dirty. */
  Set<Long> copyDirtyPages() {
    Set<Long> pages = new TreeSet<>();
    try (DirtyBatch<GuestSlot> batch = client.take()) {
      batch.forEachRun((in, firstPage, count) -> {
        MemorySegment.copy(
            in.pages(firstPage, count),
            ValueLayout.JAVA_BYTE,
            0,
            copy,
            (int) (firstPage * in.pageSize()),
            (int) in.pages(firstPage, count).byteSize());
        for (long page = firstPage; page < firstPage + count; page++) {
          pages.add(page);
        }
      });
      batch.commit();
    }
    return pages;
  }

  void assertCopyIsEqual() {
    long difference = slot.ram().mismatch(MemorySegment.ofArray(copy));
    assertEquals(-1, difference, () -> "differs in 4 KiB page " + difference / slot.pageSize());
  }

  /** Takes and copies in another thread until it is closed, and at last once more. */
  final class Collector implements AutoCloseable {
    private final AtomicInteger takes = new AtomicInteger();
    private volatile boolean stopped;
    private final CompletableFuture<@Nullable Void> done =
        CompletableFuture.runAsync(this::collect);

    private void collect() {
      while (!stopped) {
        copyDirtyPages();
        takes.incrementAndGet();
      }
      copyDirtyPages();
    }

    long takes() {
      return done.isDone() ? Long.MAX_VALUE : takes.get(); // failed: nobody waits for more
    }

    @Override
    public void close() {
      stopped = true;
      done.join();
    }
  }

  /** Runs it while a client takes in another thread; at the end the client's copy is the RAM. */
  void whileAClientTakes(Consumer<Collector> body) {
    try (Collector collector = new Collector()) {
      body.accept(collector);
    }
    assertCopyIsEqual();
  }

  /** Runs each with a facade and a vCPU of its own, in its own thread, and waits for all. */
  @SafeVarargs
  final void runAll(TrackedMemory linear, Consumer<TrackedMemory>... bodies) {
    List<CompletableFuture<@Nullable Void>> running = new ArrayList<>();
    for (Consumer<TrackedMemory> body : bodies) {
      CompletableFuture<@Nullable Void> done = new CompletableFuture<>();
      running.add(done);
      Thread.ofPlatform()
          .start(() -> {
            try (Vcpu own = memory.addVcpu()) {
              body.accept(linear.withVcpu(own));
              done.complete(null);
            } catch (Throwable e) {
              done.completeExceptionally(e);
            }
          });
    }
    running.forEach(CompletableFuture::join);
  }

  @Override
  public void close() {
    memory.close();
  }
}
