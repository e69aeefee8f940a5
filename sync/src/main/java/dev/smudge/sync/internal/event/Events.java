package dev.smudge.sync.internal.event;

import java.util.Objects;
import jdk.jfr.Event;

/** The events of a log. */
public final class Events {
  /** Frames that the recorder's own classes need as they are initialized, and more. */
  private static final int RESERVE = 200;

  private Events() {}

  /**
   * Makes an event of each kind, as a log is made. Where a stack ends while a class is initialized,
   * the class is of no use ever after: then no later call would get past its event. So this happens
   * once, and not before there is the stack for it.
   */
  public static void initialize() {
    long needed = dive(RESERVE, 1, 2, 3, 4, 5, 6);
    Event[] all = {
      new BarrierEvent(),
      new BatchEvent(),
      new PauseEvent(),
      new RingFullEvent(),
      new SlotChangeEvent(),
      new TakeEvent()
    };
    Objects.checkIndex(all.length - 1, needed); // both are used, so neither is left out
  }

  /** The arguments are needed after the call, so that compiled code has a frame for them too. */
  private static long dive(int frames, long a, long b, long c, long d, long e, long f) {
    return frames == 0 ? a + f : dive(frames - 1, b, c, d, e, f, a) + (a ^ b ^ c ^ d ^ e ^ f);
  }
}
