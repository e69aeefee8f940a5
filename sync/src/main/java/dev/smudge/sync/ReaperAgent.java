package dev.smudge.sync;

import org.agrona.concurrent.Agent;

/**
 * Reaps the rings of a log as an agent. It needs Agrona at run time, which a log does not: so it is
 * named through {@link #of} alone. The verifier of a class that returned a {@code ReaperAgent} as
 * an {@code Agent} would load both.
 */
final class ReaperAgent implements Agent {
  private final DirtyLog log;

  private ReaperAgent(DirtyLog log) {
    this.log = log;
  }

  static Agent of(DirtyLog log) {
    return new ReaperAgent(log);
  }

  @Override
  public int doWork() {
    return log.reap();
  }

  @Override
  public String roleName() {
    return "dirty-ring-reaper";
  }
}
