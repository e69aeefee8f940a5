/**
 * For embedders inside the project that keep a memory map of their own over a log ({@code core}):
 * exported to them alone.
 *
 * <pre>
 *   MapChange change = EmbeddedLog.of(log).beginChange(lock, removes);   tracker's vCPUs stopped, map locked
 *     change.add, attach, remove, carry
 *     change.swap(publish)                                               the one callback
 *     ... tells others of the change ...
 *   change.end();                                                        unlocked
 *   change.retire();                                                     after the grace period
 * </pre>
 */
@NullMarked
package dev.smudge.sync.embed;

import org.jspecify.annotations.NullMarked;
