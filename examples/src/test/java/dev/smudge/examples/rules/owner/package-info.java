/** As if exported to everybody. */
package dev.smudge.examples.rules.owner;
