/** JMH benchmarks. */
@NullMarked
package dev.smudge.benchmarks;

import org.jspecify.annotations.NullMarked;
