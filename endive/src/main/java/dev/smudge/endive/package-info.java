/**
 * The linear memory of Endive guests over a tracked slot. Start with {@link
 * dev.smudge.endive.TrackedMemory}; {@link dev.smudge.endive.SandboxImage} resets a guest.
 */
@NullMarked
package dev.smudge.endive;

import org.jspecify.annotations.NullMarked;
