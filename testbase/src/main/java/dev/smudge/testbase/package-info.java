/**
 * What the tests of every module can use, those at the bottom too: this module depends on none.
 * {@link dev.smudge.testbase.Script} is a random script that is saved if it fails; {@link
 * dev.smudge.testbase.StackSqueeze} makes a call where the stack ends, {@link
 * dev.smudge.testbase.HeapSqueeze} where the heap is full, in a JVM that {@link
 * dev.smudge.testbase.OtherJvm} starts.
 */
@NullMarked
package dev.smudge.testbase;

import org.jspecify.annotations.NullMarked;
