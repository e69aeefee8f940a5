/** As if exported to {@code friend} only. */
package dev.smudge.examples.rules.owner.friendly;
