package dev.smudge.sync;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.ring.RingPageConsumer;

/** Passes everything on. */
class ForwardingBackend implements DirtyLogBackend {
  private final DirtyLogBackend backend;

  ForwardingBackend(DirtyLogBackend backend) {
    this.backend = backend;
  }

  @Override
  public void addSlot(int slotId, long pageCount) {
    backend.addSlot(slotId, pageCount);
  }

  @Override
  public void startLog(int slotId) {
    backend.startLog(slotId);
  }

  @Override
  public void stopLog(int slotId) {
    backend.stopLog(slotId);
  }

  @Override
  public int reapRings(RingPageConsumer sink) {
    return backend.reapRings(sink);
  }

  @Override
  public void getDirtyLog(int slotId, PageWordConsumer sink) {
    backend.getDirtyLog(slotId, sink);
  }

  @Override
  public void clearDirtyLog(int slotId, long firstPage, long pageCount, long[] bitmap) {
    backend.clearDirtyLog(slotId, firstPage, pageCount, bitmap);
  }

  @Override
  public void afterSync() {
    backend.afterSync();
  }
}
