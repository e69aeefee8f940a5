package dev.smudge.sync.embed;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.VcpuPause;
import dev.smudge.sync.internal.collect.Collector;
import dev.smudge.sync.internal.collect.Slot;
import dev.smudge.sync.internal.facade.ApiAccess;
import dev.smudge.sync.internal.facade.SlotMapping;
import dev.smudge.sync.verify.PageContent;
import java.time.Duration;
import java.util.Objects;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** A log, as an embedder sees it that keeps the memory map. From any thread. */
public final class EmbeddedLog {
  private final DirtyLog log;
  private final Collector collector;

  private EmbeddedLog(DirtyLog log) {
    this.log = log;
    this.collector = ApiAccess.get().collector(log);
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
   * @throws IllegalStateException if the log has an owner or slots already, or is closed; nothing
   *     is changed
   */
  public void claim(String owner, PageContent content) {
    collector.claim(
        Objects.requireNonNull(owner, "owner"), Objects.requireNonNull(content, "content"));
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
            return ApiAccess.get().slot(toLogSlot.apply(slot));
          }
        };
    return (DirtyClient<S>) ApiAccess.get().client(log, name, initial, mapping);
  }

  /**
   * {@return what was attached to a slot; null if nothing}
   *
   * @param slot slot of any log
   */
  public static @Nullable Object attachment(LogSlot slot) {
    return ApiAccess.get().slot(slot).attachment();
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
      ApiAccess.get().onClose(pause, letGo);
      return pause;
    } catch (RuntimeException | Error e) {
      letGo.run();
      pause.close();
      throw e;
    }
  }

  /** {@return whether the guest's writes are found without marks} */
  public boolean findsWithoutMarks() {
    return collector.findsWithoutMarks();
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
    collector.vcpus().errorHandler().onError(error);
  }
}
