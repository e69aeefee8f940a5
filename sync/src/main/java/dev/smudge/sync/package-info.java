/**
 * The tracking protocol, for emulators that keep their own RAM: which pages were written, for any
 * number of clients, without losing a write.
 *
 * <pre>
 *   DirtyLog ── addSlot ──▶ LogSlot        pages of guest memory
 *            ── addVcpu ──▶ LogVcpu        mark(slot, ...) after a store, safepoint() per block
 *            ── client  ──▶ DirtyClient ── take ──▶ DirtyBatch     what is dirty for one consumer
 *            ── change  ──▶ SlotChange ── commit ──▶ RemovedSlot   slots come and go
 * </pre>
 *
 * <p>Start with {@link dev.smudge.sync.DirtyLog}. These types hold no state; the implementation is
 * in the packages below.
 */
@NullMarked
package dev.smudge.sync;

import org.jspecify.annotations.NullMarked;
