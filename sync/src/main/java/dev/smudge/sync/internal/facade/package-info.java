/** How friends of the API reach what is behind its types, which keep it to themselves. */
@NullMarked
package dev.smudge.sync.internal.facade;

import org.jspecify.annotations.NullMarked;
