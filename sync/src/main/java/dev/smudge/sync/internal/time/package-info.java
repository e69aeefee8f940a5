/**
 * How this module waits for other threads: how long, and how it sleeps meanwhile.
 *
 * <pre>
 *   while (!answered()) {
 *     if (patience.isOver()) throw ...     Patience: only time in which the other could have run
 *     backoff.idle()                       Backoff: sleeps, also in a thread that is interrupted
 *   }
 * </pre>
 *
 * <p>Start with {@link dev.smudge.sync.internal.time.Patience}. Nothing here knows of vCPUs.
 * Source: docs/design.md 3.3.
 */
@NullMarked
package dev.smudge.sync.internal.time;

import org.jspecify.annotations.NullMarked;
