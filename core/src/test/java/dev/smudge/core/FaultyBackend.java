package dev.smudge.core;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.ring.RingPageConsumer;
import dev.smudge.sync.DirtyLogBackend;
import dev.smudge.sync.ForwardingBackend;
import dev.smudge.sync.LogSlot;

/** A backend one of whose calls fails, once. For one thread. */
final class FaultyBackend extends ForwardingBackend {
  static final class Fault extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Fault() {
      super("a fault that was asked for");
    }
  }

  int untilFault = -1; // calls

  FaultyBackend(DirtyLogBackend backend) {
    super(backend);
  }

  private void point() {
    if (untilFault > 0 && --untilFault == 0) {
      throw new Fault();
    }
  }

  @Override
  public void addSlot(LogSlot slot) {
    point();
    super.addSlot(slot);
  }

  @Override
  public void removeSlot(LogSlot slot) {
    point();
    super.removeSlot(slot);
  }

  @Override
  public void startLog(LogSlot slot) {
    point();
    super.startLog(slot);
  }

  @Override
  public int reapRings(RingPageConsumer sink) {
    point();
    return super.reapRings(sink);
  }

  @Override
  public void getDirtyLog(LogSlot slot, PageWordConsumer sink) {
    point();
    super.getDirtyLog(slot, sink);
  }

  @Override
  public void clearDirtyLog(LogSlot slot, long firstPage, long pageCount, long[] bitmap) {
    point();
    super.clearDirtyLog(slot, firstPage, pageCount, bitmap);
  }
}
