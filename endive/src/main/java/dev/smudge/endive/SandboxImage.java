package dev.smudge.endive;

import dev.smudge.core.DeviceMemory;
import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import run.endive.runtime.Instance;
import run.endive.runtime.Memory;

/**
 * The state of an Endive guest at one moment, to which the guest can be reset. So a sandbox can run
 * one script after the other in the same engine, and no script sees what another has left. The cost
 * of a reset depends on the pages that were written since the last one: it takes the pages that are
 * dirty for its own client, and copies them back. Where the kernel finds the writes, it copies only
 * those that differ from the image.
 *
 * <p><b>It covers</b> the linear memory and its size, and the instance's mutable globals, tables,
 * and dropped element and data segments; if several instances have the memory, because they import
 * it, those of all that were there when the image was made. Imported globals and tables are reset
 * too, also for other instances that share them. <b>It does not cover</b> a table that has grown
 * (Endive cannot shrink it, so a reset is refused), objects behind references in globals and
 * tables, other memories of the instance, and state that the host keeps for the guest: descriptors
 * of WASI, collected output, objects that host functions hold.
 *
 * <p><b>Other clients</b> of the same {@code GuestMemory} see the pages that a reset writes as
 * dirty.
 *
 * <p>Threads: one at a time. No code of the guest may run meanwhile, in any thread; the memory's
 * vCPU is offline or the calling thread's. Source: docs/mmu.md.
 */
public final class SandboxImage implements AutoCloseable {
  private final TrackedMemory memory;
  private final GuestSlot slot;
  private final List<InstanceState> instances = new ArrayList<>();
  private final DirtyClient<GuestSlot> client;
  private final DeviceMemory device;
  private final MemorySegment content;
  private final int pages;

  private SandboxImage(TrackedMemory memory, DirtyClient<GuestSlot> client, DeviceMemory device) {
    this.device = device;
    this.memory = memory;
    this.slot = memory.slot();
    this.client = client;
    for (Instance each : memory.instances()) {
      instances.add(new InstanceState(memory, each));
    }
    if (instances.isEmpty()) {
      throw new NullPointerException("the memory of no instance: " + memory);
    }
    this.pages = memory.pages();
    this.content = MemorySegment.ofArray(memory.readBytes(0, Memory.bytes(pages)));
    memory.vcpu().offline();
  }

  /**
   * Keeps the present state: a copy of the linear memory, and the rest by reference. The vCPU is
   * offline afterwards.
   *
   * @param guest the memory that has the slot
   * @param memory the linear memory of an instance, not shared by threads of the guest
   * @return the image
   * @throws IllegalArgumentException if the memory is shared by threads
   * @throws NullPointerException if the memory belongs to no instance yet
   * @throws dev.smudge.sync.error.VcpuException if the vCPU is online in another thread
   */
  public static SandboxImage of(GuestMemory guest, TrackedMemory memory) {
    if (memory.shared()) {
      throw new IllegalArgumentException(
          memory + " is shared by threads, whose state on the stack cannot be brought back");
    }
    memory.vcpu().offline();
    // First: what is written after this is dirty for it.
    DirtyClient<GuestSlot> client = guest.client("base image", InitialView.NONE_DIRTY);
    try {
      return new SandboxImage(memory, client, guest.device());
    } catch (RuntimeException | Error e) {
      client.close();
      throw e;
    }
  }

  /**
   * Resets the guest to the image. The vCPU is offline afterwards.
   *
   * @return how many pages of the slot were copied back
   * @throws IllegalStateException if a table has grown, or the image or the memory is closed;
   *     nothing is changed
   * @throws IllegalArgumentException if the slot was removed or changed; nothing is changed
   * @throws dev.smudge.sync.error.VcpuException if the vCPU is online in another thread; nothing is
   *     changed
   * @throws dev.smudge.sync.error.SealedException after {@link GuestMemory#seal}, if a page has
   *     changed; nothing is written
   */
  public long restore() {
    instances.forEach(InstanceState::checkRestorable);
    memory.vcpu().offline();
    Restored restored = new Restored();
    try (DirtyBatch<GuestSlot> batch = client.takeRange(slot, 0, slot.pageCount())) {
      batch.forEachRun((in, first, count) -> restored.run(first, count));
      batch.commit(); // after an error in the middle they are dirty again
    }
    memory.resetPages(pages);
    instances.forEach(InstanceState::restore);
    return restored.count;
  }

  /** One walk over the dirty pages. */
  private final class Restored {
    private final MemorySegment ram = slot.ram();
    private final long pageSize = slot.pageSize();
    private final boolean compares = !slot.needsMarks();
    private final MemorySegment page = MemorySegment.ofArray(new byte[(int) pageSize]);
    private final MemorySegment zero = MemorySegment.ofArray(new byte[(int) pageSize]);
    private long count;

    /** Writes what may differ, as runs of pages as long as possible. */
    void run(long first, long pageCount) {
      long from = -1; // the first page of those that differ
      for (long page = first; page < first + pageCount; page++) {
        boolean writes = mayDiffer(page * pageSize);
        if (writes && from < 0) {
          from = page;
        } else if (!writes && from >= 0) {
          write(from, page);
          from = -1;
        }
      }
      if (from >= 0) {
        write(from, first + pageCount);
      }
    }

    /**
     * Where the kernel finds writes, a page that is written here is dirty for the next reset. So a
     * page that is as it was is not written there: one that no script writes any more is compared
     * once, and is clean from then on. Where marks find them, that would cost more than the write.
     * Zeroes behind the image are compared in any case: to write them might commit memory.
     *
     * <p>A copy is compared: RAM that faults is an error for the copy, and would end the JVM in
     * {@code mismatch}.
     */
    private boolean mayDiffer(long begin) {
      long length = Math.clamp(content.byteSize() - begin, 0, pageSize);
      if (length > 0 && !compares) {
        return true;
      }
      MemorySegment.copy(ram, begin, page, 0, pageSize);
      if (length > 0
          && MemorySegment.mismatch(page, 0, length, content, begin, begin + length) >= 0) {
        return true;
      }
      return !isZero(length);
    }

    private boolean isZero(long from) {
      // Each byte is as the one before it, and the first is zero.
      return from == pageSize
          || (page.get(ValueLayout.JAVA_BYTE, from) == 0
              && MemorySegment.mismatch(page, from, pageSize - 1, page, from + 1, pageSize) < 0);
    }

    /** As a device, which marks what has landed, also before an error in the middle. */
    private void write(long fromPage, long endPage) {
      long begin = fromPage * pageSize;
      long end = endPage * pageSize;
      long imageEnd = Math.clamp(content.byteSize(), begin, end);
      long address = slot.guestAddress();
      if (begin < imageEnd) {
        device.writeAs(client, address + begin, content.asSlice(begin, imageEnd - begin));
      }
      for (long at = imageEnd; at < end; ) {
        long length = Math.min(end - at, pageSize - at % pageSize);
        device.writeAs(client, address + at, zero.asSlice(0, length));
        at += length;
      }
      count += endPage - fromPage;
    }
  }

  /**
   * Drops the image and closes its client. The guest stays as it is. A second call does nothing.
   */
  @Override
  public void close() {
    client.close();
  }
}
