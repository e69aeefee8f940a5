package dev.smudge.sync;

import dev.smudge.bitmap.ArmableBitmap;
import dev.smudge.sync.internal.collect.Collector;
import dev.smudge.sync.internal.collect.RemovedPages;
import dev.smudge.sync.internal.collect.Slot;
import dev.smudge.sync.internal.facade.ApiAccess;
import dev.smudge.sync.internal.facade.SlotMapping;
import dev.smudge.sync.rcu.RcuReader;
import org.jspecify.annotations.Nullable;

/** What is behind the types of this package, for friends of the module. */
final class ApiInternals extends ApiAccess {
  /** The slots of a client of a {@link DirtyLog} are {@link LogSlot}s. */
  static final SlotMapping<LogSlot> LOG_SLOTS =
      new SlotMapping<>() {
        @Override
        public LogSlot toUser(Slot slot) {
          return (LogSlot) slot.identity();
        }

        @Override
        public Slot toSlot(LogSlot slot) {
          return slot.slot;
        }
      };

  @Override
  public Collector collector(Object dirtyLog) {
    return ((DirtyLog) dirtyLog).collector;
  }

  @Override
  public Slot slot(Object logSlot) {
    return ((LogSlot) logSlot).slot;
  }

  @Override
  public Object newLogSlot(Slot slot) {
    return new LogSlot(slot);
  }

  @Override
  public Object client(Object dirtyLog, String name, Object initialView, SlotMapping<?> mapping) {
    return ((DirtyLog) dirtyLog).client(name, (InitialView) initialView, mapping);
  }

  @Override
  public boolean markBefore(Object vcpu, Object logSlot, long byteOffset, long length) {
    return ((LogVcpu) vcpu).markBefore((LogSlot) logSlot, byteOffset, length);
  }

  @Override
  public @Nullable ArmableBitmap bits(Object logSlot) {
    return ((LogSlot) logSlot).live;
  }

  @Override
  public boolean markOnly(
      Object log, RcuReader section, Object logSlot, long byteOffset, long length) {
    return ((DirtyLog) log).markOnly(section, (LogSlot) logSlot, byteOffset, length);
  }

  @Override
  @SuppressWarnings("unchecked") // the caller has both from one memory
  public <S> void checkMayMark(Object client, S slot) {
    ((DirtyClient<S>) client).checkMayMark(slot);
  }

  @Override
  @SuppressWarnings("unchecked") // the caller has both from one memory
  public <S> void markForOthersOnly(Object client, S slot, long byteOffset, long length) {
    ((DirtyClient<S>) client).markForOthersOnly(slot, byteOffset, length);
  }

  @Override
  public Object removedSlot(RemovedPages pages, Object slot, Runnable whenClosed) {
    return new RemovedSlot<>(pages, slot, whenClosed);
  }

  @Override
  public void whenAside(Object vcpu, Runnable drop) {
    ((LogVcpu) vcpu).state().whenAside(drop);
  }

  @Override
  public void onClose(Object pause, Runnable letGo) {
    ((VcpuPause) pause).onClose(letGo);
  }
}
