package dev.smudge.benchmarks;

import org.openjdk.jmh.annotations.Benchmark;

/** Holds the place of the first benchmark. */
public class PlaceholderBenchmark {
  /** Creates the benchmark. */
  public PlaceholderBenchmark() {}

  /**
   * Measures nothing.
   *
   * @return the name of a module
   */
  @Benchmark
  public String nothing() {
    return dev.smudge.core.Placeholder.name();
  }
}
