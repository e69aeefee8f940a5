package dev.smudge.jcstress;

import java.util.concurrent.atomic.AtomicInteger;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Expect;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/** Holds the place of the first stress test. */
@JCStressTest
@Outcome(
    id = {"0, 1", "1, 0"},
    expect = Expect.ACCEPTABLE,
    desc = "one after the other")
@Outcome(expect = Expect.FORBIDDEN, desc = "both saw the same number")
@State
public class PlaceholderStress {
  private final AtomicInteger counter = new AtomicInteger();

  /** Creates the state. */
  public PlaceholderStress() {}

  /**
   * First.
   *
   * @param result the result
   */
  @Actor
  public void first(II_Result result) {
    result.r1 = counter.getAndIncrement();
  }

  /**
   * Second.
   *
   * @param result the result
   */
  @Actor
  public void second(II_Result result) {
    result.r2 = counter.getAndIncrement();
  }
}
