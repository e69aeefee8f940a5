/** Atomic dirty bitmap. */
@NullMarked
package dev.smudge.bitmap;

import org.jspecify.annotations.NullMarked;
