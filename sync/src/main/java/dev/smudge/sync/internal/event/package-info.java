/**
 * Events of the JDK's flight recorder: what the log did, when, and how long it took. They are empty
 * calls while nobody records. docs/flight-recorder.md describes each.
 */
@NullMarked
package dev.smudge.sync.internal.event;

import org.jspecify.annotations.NullMarked;
