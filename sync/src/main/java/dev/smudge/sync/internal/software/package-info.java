/**
 * The trackers that are built in: guest writes are found because whoever makes them marks them.
 *
 * <pre>
 *   SoftwareTracker ─┬─ BitmapTracker    vCPUs test, then mark, in a live bitmap
 *                    ├─ RingTracker      likewise, and report each newly dirty page in a ring
 *                    └─ StoppedTracker   no vCPUs: nothing runs while pages are taken
 *   LivePart         a slot's part in each of these: its live bitmap
 *   VcpuMarker       the slow path of a mark by a vCPU, which ends in one of these
 * </pre>
 *
 * <p>Source: docs/design.md 3.2 and 3.5.
 */
@NullMarked
package dev.smudge.sync.internal.software;

import org.jspecify.annotations.NullMarked;
