package dev.smudge.migration;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * All streams of a source. Each sends in a thread of its own while all do; stream 0 in the thread
 * that migrates. The first failure of any is that of all.
 */
final class SourceStreams implements AutoCloseable {
  /** Sends something through a stream. */
  interface Sending {
    void send(SourceStream stream, int index) throws IOException;
  }

  /** How long a cancelled migration has to end by itself, and to tell the destination. */
  private static final long GRACE_MILLIS = 1000;

  private final List<SourceStream> streams = new CopyOnWriteArrayList<>();
  private final CountDownLatch ended = new CountDownLatch(1);
  private boolean cancelled; // as the others below: guarded by this
  private boolean cutting; // soon, by a thread that has started
  private boolean committing; // the destination may run the guest
  private volatile @Nullable Exception failed; // of a stream; the others stop then

  /** Makes the streams. If that fails all connections are closed. */
  void add(Connection first, Connection[] more) throws IOException {
    try {
      streams.add(new SourceStream(first, 0));
      for (Connection each : more) {
        streams.add(new SourceStream(each, streams.size()));
      }
    } catch (StackOverflowError e) {
      throw e; // a close that is half made, where the stack ends, cannot be made again
    } catch (Throwable e) {
      StreamEnd.cut(first);
      for (Connection each : more) {
        StreamEnd.cut(each);
      }
      throw e;
    }
  }

  SourceStream get(int index) {
    return streams.get(index);
  }

  int size() {
    return streams.size();
  }

  /** Between two frames: a stream does not go on when another has failed. */
  void checkFailed() throws IOException {
    if (failed != null) {
      throw new IOException("another stream failed");
    }
  }

  /**
   * Closes the connections soon, which ends a read or a write that waits for the other end, unless
   * all is over by then. After {@link #beginCommit} this does nothing. From any thread.
   */
  synchronized void cancel() {
    if (committing) {
      return;
    }
    cancelled = true;
    if (!cutting) {
      Thread thread = new Thread(this::cutUnlessEnded, "migration-cancel");
      thread.setDaemon(true);
      thread.start();
      cutting = true; // last: if the thread cannot be started, the next call tries again
    }
  }

  private void cutUnlessEnded() {
    try {
      if (ended.await(GRACE_MILLIS, TimeUnit.MILLISECONDS)) {
        return;
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // nobody waits for this thread, so it goes on
    }
    synchronized (this) {
      if (!committing) {
        cutFrom(0);
      }
    }
  }

  /**
   * From here on a cancel comes too late: what was cut would leave the guest in doubt.
   *
   * @return false if it did not
   */
  synchronized boolean beginCommit() {
    committing = !cancelled;
    return committing;
  }

  /** Closes the connections but the first few. */
  void cutFrom(int first) {
    for (int i = first; i < streams.size(); i++) {
      streams.get(i).cut();
    }
  }

  @Override
  public void close() {
    ended.countDown();
    streams.forEach(SourceStream::close);
  }

  /** {@return bytes that all have sent} */
  long bytes() {
    return streams.stream().mapToLong(stream -> stream.out.bytes()).sum();
  }

  /**
   * Does something in each stream at once, and waits for all. The first failure is thrown. Before
   * others are waited for after a failure, all connections but the first are closed, so that none
   * waits for a destination that reads no more.
   */
  void inAll(Sending sending) throws IOException, InterruptedException {
    List<Thread> threads = new ArrayList<>();
    try {
      for (int i = 1; i < streams.size(); i++) {
        int index = i;
        Runnable task = new Runnable() { // no lambda over an int (docs/design.md 3.8)
              @Override
              public void run() {
                sendIn(sending, index);
              }
            };
        Thread thread = new Thread(task, "migration-" + index);
        thread.setDaemon(true);
        thread.start();
        threads.add(thread);
      }
      sendIn(sending, 0);
    } finally {
      boolean cut = failed != null || threads.size() < streams.size() - 1;
      awaitAll(threads, cut);
    }
    rethrow();
  }

  private void sendIn(Sending sending, int index) {
    try {
      sending.send(streams.get(index), index);
    } catch (Throwable e) { // other languages throw checked ones, too
      synchronized (this) {
        if (failed == null) {
          failed = StreamEnd.asKnown(e);
        }
      }
    }
  }

  /** Also if interrupted: no thread reads guest RAM after the migration is over. */
  private void awaitAll(List<Thread> threads, boolean cutNow) throws InterruptedException {
    boolean cut = cutNow;
    InterruptedException interrupted = null;
    for (int next = 0; next < threads.size(); ) {
      if (cut) {
        cutFrom(1);
      }
      try {
        threads.get(next).join();
        next++;
        cut |= failed != null;
      } catch (InterruptedException e) {
        interrupted = e;
        cut = true;
      }
    }
    if (interrupted != null) {
      throw interrupted;
    }
  }

  private void rethrow() throws IOException {
    Exception first = failed;
    if (first instanceof IOException known) {
      throw known;
    }
    if (first instanceof RuntimeException known) {
      throw known;
    }
  }
}
