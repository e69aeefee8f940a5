/** Guest RAM, slots, address space and tracked accessors. */
@NullMarked
package dev.smudge.core;

import org.jspecify.annotations.NullMarked;
