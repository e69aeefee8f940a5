/** Dirty rings in the layout of KVM: the producer's, the harvester's and the resetter's side. */
@NullMarked
package dev.smudge.ring;

import org.jspecify.annotations.NullMarked;
