package dev.smudge.jcstress;

import dev.smudge.sync.DirtyLogBackend;
import dev.smudge.sync.ForwardingBackend;
import dev.smudge.sync.LogSlot;

/** The collector meets the guest just before it clears, for the first time. */
class MeetAtClear extends ForwardingBackend {
  private final Pace pace;

  MeetAtClear(DirtyLogBackend backend, Pace pace) {
    super(backend);
    this.pace = pace;
  }

  @Override
  public void clearDirtyLog(LogSlot slot, long firstPage, long pageCount, long[] bitmap) {
    pace.meet();
    super.clearDirtyLog(slot, firstPage, pageCount, bitmap);
  }
}
