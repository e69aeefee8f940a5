package dev.smudge.sync;

import dev.smudge.bitmap.PageSet;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The {@link DirtySource}s of a log, by ascending priority. Walks are read-side sections over an
 * immutable array; one that is closed stays in it until it has left, and is not called. Under the
 * collector lock, but for {@link #close} and {@link #afterSync}.
 */
@SuppressWarnings("ReferenceEquality") // registrations are compared by identity
final class LogSources {
  private final DirtyLog log;
  private volatile SourceRegistration[] sources = new SourceRegistration[0];
  private int calling; // under the lock: calls of sources that the lock's holder is in

  LogSources(DirtyLog log) {
    this.log = log;
  }

  /** Under the lock: refuses calls of the log by a source that was called under it. */
  void checkNotCalling() {
    if (calling > 0) {
      throw new IllegalStateException(
          "a dirty source called the log from inside a call under the collector lock: "
              + "let another thread do it, after that call");
    }
  }

  void checkCalling() {
    if (!log.lock().isHeldByCurrentThread() || calling == 0) {
      throw new IllegalStateException("the sink of logSync was used after the call: " + this);
    }
  }

  /** Calls a source; returns whether it threw nothing. */
  boolean attempt(Runnable call) {
    calling++;
    log.rcu().enter();
    try {
      call.run();
      return true;
    } catch (Throwable e) {
      log.report(e);
      return false;
    } finally {
      log.rcu().exit();
      calling--;
    }
  }

  SourceRegistration add(int priority, DirtySource source) {
    SourceRegistration mine = new SourceRegistration(log, priority, source);
    if (log.clients().length > 0) {
      start(mine);
      for (LogSlot slot : log.usedSlots()) {
        mine.logStart(slot);
      }
    }
    int at = sources.length;
    while (at > 0 && sources[at - 1].priority > priority) {
      at--;
    }
    SourceRegistration[] more = Arrays.copyOf(sources, sources.length + 1);
    System.arraycopy(sources, at, more, at + 1, sources.length - at);
    more[at] = mine;
    // ORDER M2 volatile: the registration before the array. Pairs with the read in afterSync. If
    // weaker: a source is called whose registration is not there yet.
    sources = more;
    return mine;
  }

  private void start(SourceRegistration source) {
    calling++;
    log.rcu().enter();
    try {
      source.startLog();
    } finally {
      log.rcu().exit();
      calling--;
    }
  }

  /** The first client is about to start. */
  void startLog() {
    int at = 0;
    boolean done = false;
    try {
      for (; at < sources.length; at++) {
        if (!sources[at].isClosed()) { // M1
          start(sources[at]);
        }
      }
      done = true;
    } finally {
      for (at--; !done && at >= 0; at--) {
        sources[at].stopLog();
      }
    }
    for (LogSlot slot : log.usedSlots()) {
      logStart(slot);
    }
    for (LeavingSlot slot : log.table().leaving()) {
      forEach(source -> source.unlogged(slot.slot()));
    }
  }

  /** The last client has ended. */
  void stopLog() {
    for (int at = sources.length - 1; at >= 0; at--) {
      sources[at].stopLog();
    }
  }

  void logStart(LogSlot slot) {
    forEach(source -> source.logStart(slot));
  }

  void undoStart(LogSlot slot) {
    forEach(source -> source.undoStart(slot));
  }

  void sync(LogSlot slot) {
    forEach(source -> source.sync(slot));
  }

  /**
   * Clears {@code pages} in each source that has told of them. When they are out of the view of the
   * client that takes them: what could not be cleared is dirty for it again.
   */
  void clear(LogSlot slot, PageSet pages) {
    forEach(source -> source.clear(slot, pages));
  }

  /** As {@link #clear(LogSlot, PageSet)}, of all pages. */
  void clear(LogSlot slot) {
    forEach(source -> source.clear(slot));
  }

  void retire(LogSlot slot) {
    forEach(source -> source.retire(slot));
  }

  private void forEach(Consumer<SourceRegistration> action) {
    for (SourceRegistration source : sources) {
      action.accept(source);
    }
  }

  /** Without the lock. Returns whether every source has done it. */
  boolean afterSync() {
    SourceRegistration[] all = sources; // M2; volatile, as M1 is
    boolean done = true;
    for (int at = 0; at < all.length; at++) {
      log.rcu().enter();
      try {
        if (!all[at].isClosed()) { // M1
          all[at].source.afterSync();
        }
      } catch (Throwable e) {
        done = false;
        log.report(e);
      } finally {
        log.rcu().exit();
      }
    }
    return done;
  }

  /** Never waits. */
  void close(SourceRegistration source) {
    if (source.markClosed()) {
      log.rcu().callRcu(() -> leave(source));
    }
  }

  void closeAll() {
    SourceRegistration[] all = sources;
    for (int at = all.length - 1; at >= 0; at--) {
      close(all[at]);
    }
  }

  /** After the grace period: no call is under way, and none begins. Without the lock. */
  private void leave(SourceRegistration source) {
    reportThrown(source.source::detach);
    List<LogSlot> held;
    log.lock().lock();
    try {
      held = source.leave();
      sources =
          Arrays.stream(sources).filter(s -> s != source).toArray(SourceRegistration[]::new); // M2
    } finally {
      log.lock().unlock();
    }
    for (LogSlot slot : held) {
      @Nullable LeavingSlot leaving = slot.leaving;
      if (leaving != null) {
        leaving.release(log);
      }
    }
    reportThrown(source.source::close);
  }

  private void reportThrown(Runnable call) {
    try {
      call.run();
    } catch (Throwable e) {
      log.report(e);
    }
  }

  @Override
  public String toString() {
    return Arrays.toString(sources);
  }
}
