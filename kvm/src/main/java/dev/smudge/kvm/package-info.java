/**
 * Guest memory that the Linux kernel tracks: KVM through {@code java.lang.foreign}.
 *
 * <p>The JVM needs {@code --enable-native-access=dev.smudge.kvm} (on the class path {@code
 * ALL-UNNAMED}). Nothing but the vCPU's start-up ({@link dev.smudge.kvm.X86Registers}) depends on
 * the architecture.
 */
@NullMarked
package dev.smudge.kvm;

import org.jspecify.annotations.NullMarked;
