/**
 * Bitmaps with one bit per page, and sets of pages.
 *
 * <p>Writers mark the pages that they write in a bitmap, from any thread and without a lock. A
 * collector gets the new marks as 64-page words and adds them to page sets, which belong to one
 * thread at a time. There is one type of bitmap per kind of writer:
 *
 * <pre>
 *   writer                      marks in                collector calls
 *
 *   vCPU                        LiveBitmap      ---&gt;    fetch          ---+
 *   vCPU with a dirty ring      ReportedBitmap  ---&gt;    fetchReported  ---+--&gt;  PageSet  --&gt;  runs
 *   device, DMA, loader         HostBitmap      ---&gt;    drain          ---+
 * </pre>
 *
 * <p>The first two are {@linkplain dev.smudge.bitmap.ArmableBitmap live bitmaps}: a page is armed
 * while its bit is clear, and only the first write to an armed page is reported. Start with {@code
 * LiveBitmap}, which explains how marks and a fetch race; its {@code moveInto} fetches into page
 * sets and clears in one pass. The layout that all bitmaps share is in {@code BitmapLayout}.
 * Source: docs/design.md 3.2.
 */
@NullMarked
package dev.smudge.bitmap;

import org.jspecify.annotations.NullMarked;
