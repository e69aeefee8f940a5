/**
 * What is counted, by who counts it. {@code DirtyCounters} puts it together for the reader.
 *
 * <pre>
 *   VcpuCounters   each vCPU, by its thread        ┐
 *   RingCounters   the rings of the log's vCPUs    ├──▶ DirtyCounters
 *   LogCounters    the rest, under the lock        ┘
 * </pre>
 */
@NullMarked
package dev.smudge.sync.internal.counter;

import org.jspecify.annotations.NullMarked;
