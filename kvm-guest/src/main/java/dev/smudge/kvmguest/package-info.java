/** A tiny x86-64 guest that writes pages. */
@NullMarked
package dev.smudge.kvmguest;

import org.jspecify.annotations.NullMarked;
