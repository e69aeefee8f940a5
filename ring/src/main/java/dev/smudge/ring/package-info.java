/** Dirty ring in the layout of KVM. */
@NullMarked
package dev.smudge.ring;

import org.jspecify.annotations.NullMarked;
