package dev.smudge.endive;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.smudge.core.GuestBatch;
import dev.smudge.core.GuestClient;
import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.core.Vcpu;
import dev.smudge.sync.InitialView;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.TreeSet;
import run.endive.runtime.Memory;
import run.endive.wasm.types.MemoryLimits;

/** A guest memory with one slot, a client, and a copy that is fed with nothing but dirty pages. */
final class Guest implements AutoCloseable {
  final GuestMemory memory = GuestMemory.create();
  final GuestSlot slot;
  final Vcpu vcpu;
  final GuestClient client;
  private final byte[] copy;

  /** A slot for so many WebAssembly pages. */
  Guest(int maximumPages) {
    slot = memory.addSlot(0, 0x10_0000, (long) maximumPages * Memory.PAGE_SIZE);
    vcpu = memory.addVcpu();
    client = memory.client("copy", InitialView.ALL_DIRTY);
    copy = new byte[(int) slot.size()];
    copyDirtyPages();
  }

  TrackedMemory linear(MemoryLimits limits) {
    return TrackedMemory.over(slot, vcpu, limits);
  }

  TrackedMemory linear(int initialPages) {
    return linear(new MemoryLimits(initialPages));
  }

  /** Takes, copies, and returns the 4 KiB pages that were dirty. */
  TreeSet<Long> copyDirtyPages() {
    TreeSet<Long> pages = new TreeSet<>();
    try (GuestBatch batch = client.take()) {
      batch.forEachRun((in, firstPage, count, content) -> {
        MemorySegment.copy(
            content,
            ValueLayout.JAVA_BYTE,
            0,
            copy,
            (int) (firstPage * in.pageSize()),
            (int) content.byteSize());
        for (long page = firstPage; page < firstPage + count; page++) {
          pages.add(page);
        }
      });
      batch.commit();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    return pages;
  }

  void assertCopyIsEqual() {
    assertArrayEquals(slot.ram().toArray(ValueLayout.JAVA_BYTE), copy);
  }

  @Override
  public void close() {
    memory.close();
  }
}
