/**
 * Dirty rings in the layout of KVM. Start with {@link dev.smudge.ring.DirtyRing}, which has a
 * picture of the three roles: {@link dev.smudge.ring.RingProducer}, {@link
 * dev.smudge.ring.RingHarvester} and {@link dev.smudge.ring.RingResetter}.
 */
@NullMarked
package dev.smudge.ring;

import org.jspecify.annotations.NullMarked;
