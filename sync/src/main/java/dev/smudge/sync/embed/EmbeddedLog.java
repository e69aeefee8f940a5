package dev.smudge.sync.embed;

import dev.smudge.bitmap.ArmableBitmap;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.LogVcpu;
import dev.smudge.sync.VcpuPause;
import dev.smudge.sync.internal.collect.Collector;
import dev.smudge.sync.internal.collect.Slot;
import dev.smudge.sync.internal.collect.SlotWatch;
import dev.smudge.sync.internal.collect.SlotWatches;
import dev.smudge.sync.internal.facade.ApiAccess;
import dev.smudge.sync.internal.facade.SlotMapping;
import dev.smudge.sync.internal.stack.StackRoom;
import dev.smudge.sync.rcu.RcuReader;
import dev.smudge.sync.verify.PageContent;
import dev.smudge.sync.watch.PageWatch;
import dev.smudge.sync.watch.WriteListener;
import dev.smudge.sync.watch.WriteWatch;
import java.time.Duration;
import java.util.Objects;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** A log, as an embedder sees it that keeps the memory map. From any thread. */
public final class EmbeddedLog {
  private static final ApiAccess API = ApiAccess.get();

  private final DirtyLog log;
  private final Collector collector;

  private EmbeddedLog(DirtyLog log) {
    this.log = log;
    this.collector = API.collector(log);
  }

  /**
   * {@return what is behind a log}
   *
   * @param log the log
   */
  public static EmbeddedLog of(DirtyLog log) {
    return new EmbeddedLog(log);
  }

  /**
   * Makes the log the embedder's: from here on its slots are changed by {@link #beginChange} alone,
   * and {@link DirtyLog#change} refuses.
   *
   * @param owner what it is the log of, for messages: "a GuestMemory"
   * @param content what its pages contain, for the verify mode
   * @param doubt set by the owner, where it could not mark
   * @throws IllegalStateException if the log has an owner or slots already, or is closed; nothing
   *     is changed
   */
  public void claim(String owner, PageContent content, Doubt doubt) {
    collector.claim(
        Objects.requireNonNull(owner, "owner"),
        Objects.requireNonNull(content, "content"),
        doubt::take);
  }

  /** Throws the error that a lack of stack would be later, before there is any effect. */
  public static void checkStack() {
    StackRoom.check();
  }

  /**
   * Returns a lock for the map, for which a vCPU waits offline.
   *
   * @param what what its holder does, for messages: "a change of ..."
   * @return a new lock
   */
  public MapLock newLock(String what) {
    return new MapLock(collector, Objects.requireNonNull(what, "what"));
  }

  /**
   * Begins a change of the map: stops vCPUs that are the tracker's own, if slots will go, then
   * takes the lock.
   *
   * @param lock the lock of the map
   * @param removes whether slots will be removed
   * @return the change
   */
  public MapChange beginChange(MapLock lock, boolean removes) {
    return new MapChange(collector, lock, removes);
  }

  /**
   * Starts a client whose slots are those that were attached.
   *
   * @param name for messages
   * @param initial what it sees as dirty
   * @param type what was attached to every slot
   * @param toLogSlot the log's slot behind one of those
   * @return the client
   * @param <S> type of what was attached
   */
  @SuppressWarnings("unchecked") // of that mapping
  public <S> DirtyClient<S> client(
      String name, InitialView initial, Class<S> type, Function<S, LogSlot> toLogSlot) {
    SlotMapping<S> mapping =
        new SlotMapping<>() {
          @Override
          public S toUser(Slot slot) {
            return type.cast(Objects.requireNonNull(slot.attachment()));
          }

          @Override
          public Slot toSlot(S slot) {
            return API.slot(toLogSlot.apply(slot));
          }
        };
    return (DirtyClient<S>) API.client(log, name, initial, mapping);
  }

  /**
   * Has a vCPU drop, whenever it goes offline or waits, whoever makes it do so, all that lets it
   * write without coming online.
   *
   * @param vcpu vCPU that no thread uses yet
   * @param drop called by its thread while it is online still, or by any thread after its thread
   *     has died
   */
  public static void whenAside(LogVcpu vcpu, Runnable drop) {
    API.whenAside(vcpu, Objects.requireNonNull(drop, "drop"));
  }

  /**
   * Pauses the log's vCPUs, and then other writers of the embedder's, until the pause is closed.
   *
   * @param stopOthers stops those; if it throws, nothing is paused
   * @param letGo has them go on
   * @return the pause
   */
  public VcpuPause pause(Runnable stopOthers, Runnable letGo) {
    VcpuPause pause = log.pause();
    try {
      stopOthers.run();
      API.onClose(pause, letGo);
      return pause;
    } catch (Throwable e) {
      try {
        letGo.run();
      } finally {
        pause.close();
      }
      throw e;
    }
  }

  /**
   * Returns where a vCPU sees that a page needs no mark. It asks for each store, or remembers what
   * it saw no longer than until its next safepoint. From any thread; the same for a slot's life.
   *
   * @param slot slot of this log
   * @return a set bit: a mark would change nothing; null: no page needs marks
   */
  public static @Nullable ArmableBitmap bits(LogSlot slot) {
    return API.bits(slot);
  }

  /**
   * Marks what a vCPU is about to store, where the mark comes first. Watches are not told: {@link
   * #tellWatches} does, after the store.
   *
   * @param vcpu vCPU of this log, by its thread
   * @param slot slot of this log
   * @param byteOffset offset of the first byte
   * @param length bytes
   * @return whether watches are to be told
   */
  public static boolean markBefore(LogVcpu vcpu, LogSlot slot, long byteOffset, long length) {
    return API.markBefore(vcpu, slot, byteOffset, length);
  }

  /**
   * As {@link DirtyLog#mark}, in a read-side section in which the slot was found, and without a
   * check of the range of bytes. Watches are not told: {@link #tellWatches} does.
   *
   * @param section what the calling thread is in
   * @param slot slot of this log
   * @param byteOffset offset of the first byte
   * @param length bytes, 1 or more
   * @return whether watches are to be told
   */
  public boolean markOnly(RcuReader section, LogSlot slot, long byteOffset, long length) {
    return API.markOnly(log, section, slot, byteOffset, length);
  }

  /**
   * Throws what {@link #markForOthersOnly} would, as things are now. Takes no lock.
   *
   * @param client client of this log
   * @param slot its slot
   * @param <S> type of its slots
   */
  public static <S> void checkMayMark(DirtyClient<S> client, S slot) {
    API.checkMayMark(client, slot);
  }

  /**
   * As {@link DirtyClient#markForOthers}, but watches are not told.
   *
   * @param client client of this log
   * @param slot its slot
   * @param byteOffset offset of the first byte
   * @param length bytes
   * @param <S> type of its slots
   */
  public static <S> void markForOthersOnly(
      DirtyClient<S> client, S slot, long byteOffset, long length) {
    API.markForOthersOnly(client, slot, byteOffset, length);
  }

  /**
   * Tells the watches of a slot of a write, which has landed and is marked.
   *
   * @param slot the slot
   * @param byteOffset offset of the first byte
   * @param length bytes, 1 or more
   */
  public static void tellWatches(LogSlot slot, long byteOffset, long length) {
    API.slot(slot).watches().tell(byteOffset, length);
  }

  /**
   * As {@link #tellWatches(LogSlot, long, long)}, of one part of a write to several slots: what a
   * listener throws does not keep those of the other slots from being told.
   *
   * @param slot the slot
   * @param byteOffset offset of the first byte
   * @param length bytes, 1 or more
   * @param before what was returned for the part before; null for the first
   * @return what was thrown so far; null if nothing
   */
  public static @Nullable Throwable tellWatches(
      LogSlot slot, long byteOffset, long length, @Nullable Throwable before) {
    return API.slot(slot).watches().tell(byteOffset, length, before);
  }

  /**
   * Throws what the listeners of all parts have thrown.
   *
   * @param failed what was returned for the last part; if it is null, this does nothing
   */
  public static void rethrow(@Nullable Throwable failed) {
    SlotWatches.rethrow(failed);
  }

  /**
   * As {@link DirtyLog#watchPages}, for a listener that is told addresses.
   *
   * @param slot slot of this log
   * @param base address of the slot's first byte
   * @param listener the listener
   * @return the watch
   */
  public PageWatch watchPages(LogSlot slot, long base, WriteListener listener) {
    return SlotWatch.ofPages(collector, API.slot(slot), base, listener);
  }

  /**
   * As {@link DirtyLog#watchBytes}, for a listener that is told addresses.
   *
   * @param slot slot of this log
   * @param base address of the slot's first byte
   * @param address address of the first byte to watch
   * @param length bytes
   * @param listener the listener
   * @return the watch
   */
  public WriteWatch watchBytes(
      LogSlot slot, long base, long address, long length, WriteListener listener) {
    return SlotWatch.ofBytes(collector, API.slot(slot), base, address, length, listener);
  }

  /**
   * Refuses a wait in a call under the collector lock, which those who are waited for may need.
   *
   * @param what what would wait, for the message
   * @throws IllegalStateException there
   */
  public void checkMayWait(String what) {
    collector.vcpus().checkMayWait(what);
  }

  /** {@return how long the log's waits take at most} */
  public Duration timeout() {
    return Duration.ofNanos(collector.vcpus().timeoutNanos());
  }

  /**
   * Tells the log's error handler of an error that has no caller.
   *
   * @param error the error
   */
  public void report(Throwable error) {
    collector.vcpus().errorHandler().accept(error);
  }
}
