/**
 * Rewind, save states and reset of a guest, over its dirty pages.
 *
 * <pre>
 *   Rewind ── save, back, forward, jump     a state per frame, in memory: History of deltas
 *   Reset  ── reset                         back to a BaseImage, which many guests share
 *      └── GuestPages ── absorb: DirtyClient.take        which pages may differ
 *                     ── write:  PagePort.write          restores them, dirty for the others only
 * </pre>
 *
 * <p>A {@link dev.smudge.snapshot.SnapshotStore} keeps states in a file, over the same {@code
 * GuestPages}. Start with {@link dev.smudge.snapshot.Rewind}.
 */
@NullMarked
package dev.smudge.snapshot;

import org.jspecify.annotations.NullMarked;
