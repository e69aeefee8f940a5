/**
 * The verify mode: finds the writes that an embedder forgets to mark.
 *
 * <p>A store that nobody marks is in no dirty page, and shows only much later, as a byte that is
 * wrong in a save state or at the destination of a migration. In the verify mode each take compares
 * the content of guest RAM with what was reported, and names the first byte that changed without a
 * report. It reads all of guest RAM at each take, so it is for test suites and not for production.
 *
 * <p>It is switched on with {@code DirtyLogBuilder.verify}, or with the system property {@code
 * smudge.verify} for every {@code GuestMemory} of the process. A log whose RAM is the embedder's
 * own needs a {@link dev.smudge.sync.verify.PageContent}, which reads a page. With {@code
 * DirtyLogBuilder.verifyWith} another tracker, that of the MMU, says what was written: then no RAM
 * is read, and which byte it was is not known.
 */
@NullMarked
package dev.smudge.sync.verify;

import org.jspecify.annotations.NullMarked;
