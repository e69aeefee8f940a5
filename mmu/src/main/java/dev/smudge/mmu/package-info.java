/**
 * Finds guest writes by the memory management unit, without a mark in any store. Linux
 * write-protects pages in the page tables of this process and notes the first write to each.
 *
 * <pre>
 *   MmuTracker        start here: a dirty log over it, or why this machine cannot have one
 *     MmuSlot         the pages of one slot
 *     Userfaultfd     registers ranges, so that pages can be protected
 *     PagemapScan     which pages were written; protects them again
 *     ProcessMaps     what memory a range is
 * </pre>
 *
 * <p>Linux 6.7 on x86-64. The constants for aarch64 (Linux 6.10) were never run. Source: Linux
 * Documentation/admin-guide/mm/pagemap.rst and userfaultfd.rst, PAGEMAP_SCAN(2const).
 */
@NullMarked
package dev.smudge.mmu;

import org.jspecify.annotations.NullMarked;
