/**
 * Guest RAM as whole pages, for code that saves, restores or sends them without knowing where the
 * RAM is: rewind, save states and reset in {@code dev.smudge.snapshot}, and {@code
 * dev.smudge.migration}.
 *
 * <pre>
 *   client ── what is dirty ──▶ snapshot, migration ── read, write ──▶ PagePort ──▶ the guest's RAM
 * </pre>
 *
 * <p>{@code GuestMemory.pages()} is a {@link dev.smudge.sync.pages.PagePort}. An embedder that
 * keeps its own RAM implements {@link dev.smudge.sync.pages.PagePort.OwnRam}.
 */
@NullMarked
package dev.smudge.sync.pages;

import org.jspecify.annotations.NullMarked;
