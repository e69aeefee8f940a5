/**
 * How writes to guest memory are found: the interface between the collector, which is the same for
 * every guest, and a tracker, which knows one way of catching writes.
 *
 * <pre>
 *   clients ── views ── collector            one per log, under one lock
 *                          │
 *         {@link dev.smudge.sync.tracker.Tracker}          one that catches the guest's writes, and any number of devices
 *                          │
 *       {@link dev.smudge.sync.tracker.SlotTracker}        one per slot and tracker: its bits, and how they are cleared
 * </pre>
 *
 * <p>Built in are trackers by marks: in bitmaps, in rings, and for a guest that is stopped while
 * its pages are taken. Write a tracker of your own by implementing {@link
 * dev.smudge.sync.tracker.Tracker}; put one in front of another by extending {@link
 * dev.smudge.sync.tracker.ForwardingTracker}.
 */
@NullMarked
package dev.smudge.sync.tracker;

import org.jspecify.annotations.NullMarked;
