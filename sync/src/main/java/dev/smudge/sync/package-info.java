/** The tracking protocol, for emulators that keep their own RAM. */
@NullMarked
package dev.smudge.sync;

import org.jspecify.annotations.NullMarked;
