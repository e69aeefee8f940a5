package dev.smudge.examples;

/**
 * What was found out about a guest's output.
 *
 * @param verified whether it is that of an uninterrupted run
 * @param text what was compared, or what differs
 */
record Verdict(boolean verified, String text) {}
