/**
 * Live migration: a running guest moves from one JVM to another, and no write is lost.
 *
 * <pre>
 *   MigrationSource ── SourceRun ── rounds, then the switch-over     MigrationTarget
 *                         ├── SourceStream 0 ═══ Connection ═══ TargetStream 0 ──┐
 *                         └── SourceStream 1 ═══ Connection ═══ TargetStream 1 ──┴─ PagePort.write
 *        DirtyClient.take ─┘        └── PageFrames: pages as frames ──┘
 * </pre>
 *
 * <p>A page always travels through the same stream, so a newer content never overtakes an older
 * one, and streams need not wait for each other before the end. The protocol is in {@code
 * StreamLayout}.
 *
 * <p>Start with {@link dev.smudge.migration.MigrationSource} and {@link
 * dev.smudge.migration.MigrationTarget}.
 */
@NullMarked
package dev.smudge.migration;

import org.jspecify.annotations.NullMarked;
