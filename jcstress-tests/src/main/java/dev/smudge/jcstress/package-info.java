/** Stress tests of the orderings. */
@NullMarked
package dev.smudge.jcstress;

import org.jspecify.annotations.NullMarked;
