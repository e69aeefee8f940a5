/**
 * Keeps guest accesses out while memory slots are changed in more than one step: for trackers whose
 * slot update is not atomic, such as KVM, which deletes a slot and adds another. It knows nothing
 * of a log. Start with {@link dev.smudge.sync.inhibitor.AccessInhibitor}. Source: docs/design.md
 * 3.6; QEMU accel/accel-blocker.c.
 */
@NullMarked
package dev.smudge.sync.inhibitor;

import org.jspecify.annotations.NullMarked;
