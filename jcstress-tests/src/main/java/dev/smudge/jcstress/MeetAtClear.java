package dev.smudge.jcstress;

import dev.smudge.sync.DirtyLogBackend;

/** The collector meets the guest just before it clears, for the first time. */
class MeetAtClear extends Between {
  private final Pace pace;

  MeetAtClear(DirtyLogBackend backend, Pace pace) {
    super(backend);
    this.pace = pace;
  }

  @Override
  public void clearDirtyLog(int slotId, long firstPage, long pageCount, long[] bitmap) {
    pace.meet();
    super.clearDirtyLog(slotId, firstPage, pageCount, bitmap);
  }
}
