/**
 * Guest RAM, slots, address space and tracked accessors, for new emulators.
 *
 * <pre>
 *   GuestMemory ── addSlot  ──▶ GuestSlot         RAM at guest addresses
 *               ── addVcpu  ──▶ Vcpu              guest code reads and writes through it
 *               ── device   ──▶ DeviceMemory      devices, DMA and loaders write through it
 *               ── client   ──▶ DirtyClient&lt;GuestSlot&gt;, with the content of dirty pages
 *               ── beginTransaction ──▶ SlotTransaction   the map changes under running vCPUs
 * </pre>
 *
 * <p>Start with {@link dev.smudge.core.GuestMemory}. The implementation is in the packages below.
 */
@NullMarked
package dev.smudge.core;

import org.jspecify.annotations.NullMarked;
