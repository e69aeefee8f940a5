/**
 * The collector: which pages are dirty for which client, whoever has found the writes.
 *
 * <pre>
 *   tracker ──collect──▶ FetchedBits ──new bits──▶ SlotViews ──▶ view of each client
 *           ◀──clear────     │ one per slot and tracker             │ take: view to batch
 *                            └── what was told and is not cleared   ▼
 *                                                              TakenPages
 * </pre>
 *
 * <p>Start with {@link dev.smudge.sync.internal.collect.Collector}: it owns the one lock, and a
 * take reads there from top to bottom. Slots come and go in {@link
 * dev.smudge.sync.internal.collect.SlotSwap}; devices with a dirty log of their own are in {@link
 * dev.smudge.sync.internal.collect.DeviceLogs}. Source: docs/design.md 3.4 and 3.6.
 */
@NullMarked
package dev.smudge.sync.internal.collect;

import org.jspecify.annotations.NullMarked;
