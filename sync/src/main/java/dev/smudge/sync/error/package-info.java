/**
 * What goes wrong with a log, as exceptions that a caller can tell apart. They are in a package of
 * their own because every part of the module throws them, from the inhibitor to the facades.
 *
 * <ul>
 *   <li>{@link dev.smudge.sync.error.VcpuException}: a vCPU or an access was used where it must not
 *       be, or its thread died. Mend the caller.
 *   <li>{@link dev.smudge.sync.error.VcpuTimeoutException}: another thread did not come to a
 *       safepoint, or did not end what it holds, in time. Try again, or end that thread.
 *   <li>{@link dev.smudge.sync.error.SealedException}: the guest was written after it was declared
 *       stopped for good. Stop the writer before {@code seal}.
 * </ul>
 *
 * <p>{@code dev.smudge.sync.rcu} and {@code dev.smudge.sync.verify} have those of their own.
 */
@NullMarked
package dev.smudge.sync.error;

import org.jspecify.annotations.NullMarked;
