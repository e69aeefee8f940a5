/**
 * What the tests of every tracker need, whatever finds the writes of its guest.
 *
 * <pre>
 *   TrackerContract                   LockStep        random scripts, made by two sides
 *   one test per rule                    |
 *        |                         LockStepActor      one of the sides
 *        |                               |
 *        +--------&gt;  GuestMachine  &lt;-----+            a guest that writes what it is told to
 *                     |  ^     |
 *                     |  +-----|--------- Storm          everything at once, and errors
 *          SoftwareMachine    a machine over the tracker that is tested
 * </pre>
 *
 * <p>A module with a tracker depends on this one in test scope. Start with {@link
 * dev.smudge.testkit.GuestMachine}, and extend it by a guest that runs over the tracker. Then
 * extend {@link dev.smudge.testkit.TrackerContract}, and run a {@link dev.smudge.testkit.LockStep}
 * of that guest beside a {@link dev.smudge.testkit.SoftwareMachine}. A fault such as {@link
 * dev.smudge.testkit.ClearsAll}, planted in front of the tracker, shows that the lock step can
 * fail.
 *
 * <p>The tests of {@code core} and of the modules below it cannot use this module, which depends on
 * them: what they share is in {@code testbase}.
 */
@NullMarked
package dev.smudge.testkit;

import org.jspecify.annotations.NullMarked;
