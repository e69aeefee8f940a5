/**
 * The handshake with vCPUs: when a vCPU is online, how barriers and pauses reach it at its
 * safepoints, and where it waits.
 *
 * <pre>
 *              request, pause, task
 *   collector ─────────────────────▶ pending     ┐
 *             ◀──────────────────── acknowledged │ VcpuState: one per vCPU, written by its thread
 *             ◀──────────────────── online?      ┘
 *                Handshake, Pauses                 VcpuTasks, RingFullWait, DirtyLimit
 * </pre>
 *
 * <p>Start with {@link dev.smudge.sync.internal.vcpu.VcpuState}, the state machine, then {@link
 * dev.smudge.sync.internal.vcpu.Handshake}. Nothing here knows of pages. Source: docs/design.md
 * 3.3.
 */
@NullMarked
package dev.smudge.sync.internal.vcpu;

import org.jspecify.annotations.NullMarked;
