/**
 * Calls to Linux through {@code java.lang.foreign}. No other module of Smudge calls native
 * functions, so this is the one that needs native access: {@code
 * --enable-native-access=dev.smudge.linux}, or {@code ALL-UNNAMED} on the class path.
 *
 * <pre>
 *   dev.smudge.kvm, dev.smudge.mmu, dev.smudge.core
 *        |                  |              |             |
 *        | open, ioctl, map | send         | map         | pageSize
 *        v                  v              v             v
 *   Descriptor        KickSignal    AnonymousMemory    Libc ---&gt; the C library
 *        |                  |              |             ^
 *        +------------------+--------------+-------------+
 *   errors: ErrnoException, named and explained by Errno
 *   request numbers: IoctlNumber
 * </pre>
 *
 * <p>Start with {@link dev.smudge.linux.Descriptor}, which owns a file descriptor and makes the
 * calls that take one. {@link dev.smudge.linux.Libc} holds the function handles and nothing else. A
 * call that Linux refuses throws an {@link dev.smudge.linux.ErrnoException}; the module above
 * translates it into an exception of its own API.
 *
 * <p>Records are those of 64-bit Linux and are the same on x86-64 and aarch64.
 */
@NullMarked
package dev.smudge.linux;

import org.jspecify.annotations.NullMarked;
