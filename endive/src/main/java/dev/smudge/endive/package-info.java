/** The Memory of Endive over a tracked slot. */
@NullMarked
package dev.smudge.endive;

import org.jspecify.annotations.NullMarked;
