package dev.smudge.sync.internal.event;

import dev.smudge.sync.internal.stack.StackRoom;
import java.util.Objects;
import jdk.jfr.Event;

/** The events of a log. */
public final class Events {
  /** Steps of {@link StackRoom}: more than the recorder's own classes need when initialized. */
  private static final int RESERVE = 40;

  private Events() {}

  /**
   * Makes an event of each kind, as a log is made. Where a stack ends while a class is initialized,
   * the class is of no use ever after: then no later call would get past its event. So this happens
   * once, and not before there is the stack for it.
   */
  public static void initialize() {
    StackRoom.check(RESERVE);
    Event[] all = {
      new BarrierEvent(),
      new BatchEvent(),
      new PauseEvent(),
      new RingFullEvent(),
      new SlotChangeEvent(),
      new TakeEvent()
    };
    Objects.requireNonNull(all);
  }
}
