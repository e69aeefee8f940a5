/**
 * Guest memory that the Linux kernel tracks: KVM, called through {@code java.lang.foreign}.
 *
 * <pre>
 *        GuestMemory, clients, batches        (dev.smudge.core)
 *                     |
 *   KvmRunner ---- KvmTracker                 a VM below a dirty log
 *       |             |
 *    KvmVcpu ------ KvmVm ------ Kvm          the kernel's objects and their calls
 *       |             |           |
 *       +---------- KvmFile ------+           a call that is refused becomes a KvmException
 *                     |
 *                dev.smudge.linux             the calls themselves
 * </pre>
 *
 * <p>Start with {@link dev.smudge.kvm.Kvm#open}, then {@link dev.smudge.kvm.KvmTracker}. {@link
 * dev.smudge.kvm.RunLayout} and {@link dev.smudge.kvm.X86Registers} are for embedders that handle
 * exits and registers; only the latter depends on the architecture.
 *
 * <p>The module dev.smudge.linux makes all native calls, so that is the one that needs native
 * access: {@code --enable-native-access=dev.smudge.linux}, or {@code ALL-UNNAMED} on the class
 * path.
 */
@NullMarked
package dev.smudge.kvm;

import org.jspecify.annotations.NullMarked;
