package dev.smudge.sync;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.ring.RingPageConsumer;
import java.util.List;
import java.util.Objects;

/**
 * Passes everything on to another backend: extend it to count, trace or fail at a step, and put it
 * in front with {@link DirtyLog.Builder#interceptBackend}.
 */
public class ForwardingBackend implements DirtyLogBackend {
  private final DirtyLogBackend backend;

  /**
   * Makes one.
   *
   * @param backend gets every call
   */
  public ForwardingBackend(DirtyLogBackend backend) {
    this.backend = Objects.requireNonNull(backend, "backend");
  }

  @Override
  public void changeSlots(List<LogSlot> removed, List<LogSlot> added, Runnable change) {
    backend.changeSlots(removed, added, change);
  }

  @Override
  public void addSlot(LogSlot slot) {
    backend.addSlot(slot);
  }

  @Override
  public void removeSlot(LogSlot slot) {
    backend.removeSlot(slot);
  }

  @Override
  public void startLog(LogSlot slot) {
    backend.startLog(slot);
  }

  @Override
  public void stopLog(LogSlot slot) {
    backend.stopLog(slot);
  }

  @Override
  public int reapRings(RingPageConsumer sink) {
    return backend.reapRings(sink);
  }

  @Override
  public void getDirtyLog(LogSlot slot, PageWordConsumer sink) {
    backend.getDirtyLog(slot, sink);
  }

  @Override
  public void clearDirtyLog(LogSlot slot, long firstPage, long pageCount, long[] bitmap) {
    backend.clearDirtyLog(slot, firstPage, pageCount, bitmap);
  }

  @Override
  public boolean isAnyRingHalfFull() {
    return backend.isAnyRingHalfFull();
  }

  @Override
  public Runnable pauseVcpus() {
    return backend.pauseVcpus();
  }

  @Override
  public void afterSync() {
    backend.afterSync();
  }
}
