/**
 * The memory map: which slot is at a guest address, and how the map changes under running vCPUs.
 *
 * <pre>
 *   AddressSpace ── map ──▶ SlotMap ── find ──▶ MappedSlot   immutable: base, span, RAM, dirty state
 *        │
 *        └── SlotOverlay (plans of one transaction) ── SlotCommit ──▶ a new SlotMap, published at once
 *                                                          └──▶ MapListeners are told
 * </pre>
 *
 * <p>Start with {@link dev.smudge.core.internal.map.AddressSpace}. Source: docs/design.md 3.6.
 */
@NullMarked
package dev.smudge.core.internal.map;

import org.jspecify.annotations.NullMarked;
