/** Embedders, small. */
@NullMarked
package dev.smudge.examples;

import org.jspecify.annotations.NullMarked;
