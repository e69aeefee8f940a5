package dev.smudge.sync.rcu;

import org.agrona.concurrent.Agent;

/**
 * Runs the reclaimer as an agent. It needs Agrona at run time, which an {@code Rcu} does not: so it
 * is named through {@link #of} alone. The verifier of a class that returned a {@code RcuAgent} as
 * an {@code Agent} would load both.
 */
final class RcuAgent implements Agent {
  private final RcuReclaimer reclaimer;

  private RcuAgent(RcuReclaimer reclaimer) {
    this.reclaimer = reclaimer;
  }

  static Agent of(RcuReclaimer reclaimer) {
    return new RcuAgent(reclaimer);
  }

  @Override
  public void onStart() {
    reclaimer.startInThisThread();
  }

  @Override
  public int doWork() {
    return reclaimer.workOfAgent();
  }

  @Override
  public void onClose() {
    reclaimer.end();
  }

  @Override
  public String roleName() {
    return "rcu-reclaimer";
  }
}
