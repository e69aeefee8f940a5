package dev.smudge.sync.internal.facade;

import dev.smudge.bitmap.ArmableBitmap;
import dev.smudge.sync.internal.collect.Collector;
import dev.smudge.sync.internal.collect.RemovedPages;
import dev.smudge.sync.internal.collect.Slot;
import dev.smudge.sync.rcu.RcuReader;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * What is behind the types of the API, for the package that friends of the module use. The API sets
 * it; it is given here as objects, because this package lies below the API and cannot name its
 * types.
 */
public abstract class ApiAccess {
  private static volatile @Nullable ApiAccess access;

  /** Makes one. */
  protected ApiAccess() {}

  /** Sets the one there is; by the API, as its first class is initialized. */
  public static void set(ApiAccess of) {
    access = of;
  }

  /** {@return the one there is, after a type of the API was used} */
  public static ApiAccess get() {
    return Objects.requireNonNull(access, "no type of the API was used yet");
  }

  /** {@return the collector of a DirtyLog} */
  public abstract Collector collector(Object dirtyLog);

  /** {@return the slot of a LogSlot} */
  public abstract Slot slot(Object logSlot);

  /** {@return a LogSlot of a new slot} */
  public abstract Object newLogSlot(Slot slot);

  /** {@return a started DirtyClient of a DirtyLog} */
  public abstract Object client(
      Object dirtyLog, String name, Object initialView, SlotMapping<?> mapping);

  /** {@return the bits that say that a mark of a LogSlot would change nothing; null: always so} */
  public abstract @Nullable ArmableBitmap bits(Object logSlot);

  /** Marks, by a LogVcpu, a store that is to come; returns whether watches are to be told of it. */
  public abstract boolean markBefore(Object vcpu, Object logSlot, long byteOffset, long length);

  /** Marks by a DirtyLog, in a section; returns whether watches are to be told. */
  public abstract boolean markOnly(
      Object log, RcuReader section, Object logSlot, long byteOffset, long length);

  /** Refuses what a DirtyClient could not mark for others now. */
  public abstract <S> void checkMayMark(Object client, S slot);

  /** Marks by a DirtyClient for others; watches are not told. */
  public abstract <S> void markForOthersOnly(Object client, S slot, long byteOffset, long length);

  /** {@return a RemovedSlot} */
  public abstract Object removedSlot(RemovedPages pages, Object slot, Runnable whenClosed);

  /** Has a LogVcpu drop what lets it write without coming online, when nobody waits for it. */
  public abstract void whenAside(Object vcpu, Runnable drop);

  /** Has the close of a VcpuPause let others go on too. */
  public abstract void onClose(Object pause, Runnable letGo);
}
