/**
 * Whose client a client is: {@link dev.smudge.snapshot.owner.ClientOwner}. For this module and that
 * of the migration.
 *
 * <pre>
 *   a Rewind, a Reset, a SnapshotStore, a BaseImage, a migration ── claim ──▶ client
 * </pre>
 */
@NullMarked
package dev.smudge.snapshot.owner;

import org.jspecify.annotations.NullMarked;
