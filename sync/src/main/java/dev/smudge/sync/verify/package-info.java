/**
 * The verify mode: finds the writes that an embedder forgets to mark.
 *
 * <p>A store that nobody marks makes no page dirty, and shows up much later, as a wrong byte in a
 * save state or at the destination of a migration. In the verify mode each take compares guest RAM
 * with copies of its pages, and names the first byte that changed without a report. It reads all of
 * guest RAM at each take, so it is for test suites and not for production.
 *
 * <p>It is switched on with {@code DirtyLogBuilder.verify}, or with the system property {@code
 * smudge.verify} for every {@code GuestMemory} of the process. An embedder that keeps its own RAM
 * has to provide a {@link dev.smudge.sync.verify.PageContent}, which reads a page. With {@code
 * DirtyLogBuilder.verifyWith} a second tracker, such as the MMU's, finds the writes. Then no RAM is
 * read, and the exception does not know which byte was written.
 */
@NullMarked
package dev.smudge.sync.verify;

import org.jspecify.annotations.NullMarked;
