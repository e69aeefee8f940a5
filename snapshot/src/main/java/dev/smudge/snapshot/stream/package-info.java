/**
 * Pages of guest RAM as bytes: in a file, or on a connection.
 *
 * <pre>
 *   pages ── PageRunEncoder.add, finish ──▶ bytes of a run ── PageRunDecoder.read ──▶ pages
 * </pre>
 *
 * <p>A run is some pages of one slot, ascending. Each of them is zero, raw, compressed, or
 * compressed as its difference to a base that the reader has, whichever is smallest. What is
 * damaged is found, and named with its place.
 */
@NullMarked
package dev.smudge.snapshot.stream;

import org.jspecify.annotations.NullMarked;
