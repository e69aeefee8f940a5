/**
 * Whether there is room on the stack for what must not end in the middle. Also for {@code endive},
 * {@code kvm}, {@code snapshot} and {@code migration}: exported to them alone.
 *
 * <pre>
 *   StackRoom.check()            throws the StackOverflowError here, where nothing has happened
 *   new RoomyLock(fair)          a lock that is taken only where there is room to give it back
 * </pre>
 *
 * <p>Start with {@link dev.smudge.sync.internal.stack.StackRoom}. Source: docs/design.md 3.8.
 */
@NullMarked
package dev.smudge.sync.internal.stack;

import org.jspecify.annotations.NullMarked;
