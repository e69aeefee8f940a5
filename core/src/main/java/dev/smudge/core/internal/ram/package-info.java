/**
 * Where RAM of our own comes from, and how long it lives: sparse mappings that are committed as
 * they are touched, and pins that keep them mapped.
 *
 * <pre>
 *   SparseRam         one piece of RAM, and how long it lives
 *     Pin             a part of it that somebody uses: a slot, an asynchronous write
 *   RamSource         where its memory comes from
 *     AnonymousRam    memory of the process, where native access is granted
 *     FileRam         a file, mapped once, and once more and longer when it grows
 * </pre>
 */
@NullMarked
package dev.smudge.core.internal.ram;

import org.jspecify.annotations.NullMarked;
