package dev.smudge.core;

import dev.smudge.core.internal.map.MappedSlot;
import dev.smudge.sync.embed.EmbeddedLog;
import java.lang.foreign.MemorySegment;

/**
 * A range of RAM that one vCPU may write without marks: its pages are marked once, and stay marked
 * until the vCPU's next safepoint at which pages were armed. It is for inner loops, translated code
 * and the entries of a write TLB: a store costs no more than a store to any memory.
 *
 * <pre>{@code
 * WriteWindow frame = vcpu.window(0xa0000, 320 * 200);
 * for (int line = 0; line < 200; line++) {
 *   MemorySegment ram = frame.ram(); // once per block: marks again, if pages were armed
 *   for (int x = 0; x < 320; x++) {
 *     ram.set(JAVA_BYTE, line * 320 + x, color(x, line));
 *   }
 *   vcpu.safepoint();
 * }
 * }</pre>
 *
 * <p>Store to the result of {@link #ram} only until the next call of the vCPU that may be a
 * safepoint: {@link Vcpu#safepoint}, {@link Vcpu#offline}, or an access that the vCPU begins
 * offline. A later store is lost, so call {@link #ram} again, which costs one comparison. The
 * verify mode (docs/design.md 3.9) names such stores.
 *
 * <p>Every page of the range counts as written when the window is opened, and again each time that
 * pages were armed, whether the guest writes it or not. So make the window only as large as the
 * memory that a block writes.
 *
 * <p>Used by the thread that runs the vCPU. Source: docs/design.md 3.2.
 */
public final class WriteWindow {
  private static final long NEVER = -1;

  private final VcpuCursors vcpu;
  private final long address;
  private final long length;
  private MappedSlot slot = MappedSlot.NONE;
  private MemorySegment ram = MemorySegment.NULL;
  private long openedAt = NEVER; // how often pages had been armed

  WriteWindow(VcpuCursors vcpu, long address, long length) {
    this.vcpu = vcpu;
    this.address = address;
    this.length = length;
  }

  /**
   * Returns the range, to be written raw until the vCPU's next safepoint. Marks its pages, unless
   * it has done so since pages were last armed. The vCPU is online after that.
   *
   * <p>Watches are called once, whatever their listeners do: if one takes pages, or takes the vCPU
   * offline, the pages are marked again after it. If one throws, its exception comes out, the pages
   * are marked, and the next call calls it again.
   *
   * @return the RAM; offset 0 is the window's first address
   * @throws GuestAccessException if the range is not all RAM any more; nothing is marked
   * @throws IllegalStateException if the range is in several slots since a change of the memory
   *     map, or if the memory is closed; nothing is marked
   * @throws dev.smudge.sync.error.VcpuException if it has to be opened, and the vCPU is closed or
   *     online in another thread; nothing is marked
   * @throws dev.smudge.sync.error.SealedException after {@link GuestMemory#seal}; nothing is marked
   */
  public MemorySegment ram() {
    if (isClosed()) {
      open();
    }
    return ram;
  }

  /**
   * Returns whether {@link #ram} would mark, and look the range up again, because pages were armed
   * or the vCPU was offline since the last call. For code that keeps the result of {@code ram}.
   *
   * @return whether {@code ram} has to be called before the next store
   */
  public boolean isClosed() {
    return openedAt != vcpu.armings();
  }

  @SuppressWarnings("ReferenceEquality") // slots are compared by identity
  private void open() {
    vcpu.log.online(); // refuses a second thread, which might open it in a slot that has gone
    boolean watched = false;
    boolean told = false;
    long before;
    do {
      MappedSlot found = vcpu.writable(address, length);
      if (found == null) {
        throw new IllegalStateException(
            this + " is in several slots: a window has to be inside one; make a window per slot");
      }
      long offset = address - found.base;
      if (found != slot) {
        ram = found.ram().asSlice(offset, length);
        slot = found;
      }
      before = vcpu.armings();
      watched |= EmbeddedLog.markBefore(vcpu.log, found.log, offset, length);
      if (watched && !told && vcpu.armings() == before) {
        told = true; // once: a listener that takes or goes offline closes the window each time
        vcpu.tellWatches(found, offset, length);
      }
    } while (vcpu.armings() != before); // the mark has brought the vCPU online, or a listener
    openedAt = before;
  }

  @Override
  public String toString() {
    return "WriteWindow[0x" + Long.toHexString(address) + " + " + length + "]";
  }
}
