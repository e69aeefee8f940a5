/**
 * Where RAM of our own comes from, and how long it lives: sparse mappings that are committed as
 * they are touched, and pins that keep them mapped.
 *
 * <pre>
 *   SparseRam   one file, mapped once, and once more and longer when it grows
 *     Pin       a part of it that somebody uses: a slot, an asynchronous write
 * </pre>
 */
@NullMarked
package dev.smudge.core.internal.ram;

import org.jspecify.annotations.NullMarked;
