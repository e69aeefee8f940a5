/**
 * Write watches: a callback at a write, in the thread that writes, before it goes on.
 *
 * <p>A client learns which pages were written when it takes them. A cache of translated code, a
 * debugger or a device with registers in RAM must know at once. It watches:
 *
 * <ul>
 *   <li>pages ({@code DirtyLog.watchPages}, {@code GuestMemory.watchPages}): the first write to a
 *       page since it was armed. For translated code: arm the page, read it, translate.
 *   <li>bytes ({@code watchBytes}): every write to a range, be it one byte of a page. For
 *       watchpoints of a debugger, and for frame buffers that are redrawn as they are written.
 * </ul>
 *
 * <pre>{@code
 * PageWatch code = log.watchPages(slot, (offset, length) -> cache.invalidate(offset, length));
 * ...
 * code.arm(offset, 4096); // from here on the first write to the page is told
 * cache.put(offset, translate(offset)); // reads the page
 * }</pre>
 *
 * <p>With several vCPUs a write may come between the read and the entry into the cache. So the
 * cache counts invalidations, and refuses a translation that was read before the last one
 * (docs/guide/code-cache.md).
 *
 * <p>The mark of a write calls the listener: a vCPU's mark, {@code DirtyLog.mark}, {@code
 * DirtyClient.markForOthers}, and every accessor of a {@code GuestMemory}. While a page is watched
 * its live bit stays clear, so that each mark of it takes the slow path, which looks for watches.
 * So an embedder with a write TLB enters a page, after its mark, only if {@code LogSlot.isMarked}
 * is true. No other store of a vCPU is slower; a device's store costs a few nanoseconds more,
 * watched or not. Trackers that find writes without marks (KVM, the MMU) learn of a write at the
 * next take, long after the writer has gone on, so they refuse watches. Use a client and {@code
 * takeRange} there.
 *
 * <p>Source: docs/design.md 3.10.
 */
@NullMarked
package dev.smudge.sync.watch;

import org.jspecify.annotations.NullMarked;
