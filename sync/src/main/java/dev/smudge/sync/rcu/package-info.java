/**
 * Read-copy-update: memory, listeners and slots that readers may still use are reclaimed after a
 * grace period.
 *
 * <pre>
 *   reader    enter() ──── reads ──── exit()
 *   updater        unlink │ synchronize() ..... │ reclaim
 *                         └── waits for the sections that had begun by then ──┘
 * </pre>
 *
 * <p>Start with {@link dev.smudge.sync.rcu.Rcu}. The vCPUs of a log are readers without a fence:
 * {@link dev.smudge.sync.rcu.RcuVcpus} and {@link dev.smudge.sync.rcu.RcuReader} are how threads
 * with quiescent states of their own take part. Source: docs/design.md 3.7; liburcu.
 */
@NullMarked
package dev.smudge.sync.rcu;

import org.jspecify.annotations.NullMarked;
