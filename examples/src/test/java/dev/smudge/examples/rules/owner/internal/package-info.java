/** As if not exported. */
package dev.smudge.examples.rules.owner.internal;
