package dev.smudge.sync.rcu;

import dev.smudge.sync.internal.stack.RoomyLock;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The readers of one {@link Rcu}, one a thread, and the epoch at which their sections begin.
 *
 * <p>They are a list to which any thread adds at the head. Those of dead threads are unlinked when
 * it has grown by a sixteenth and a constant, so that an addition costs O(1) on average, and at the
 * end of a grace period, so that a burst of threads leaves nothing behind. Nothing but the head is
 * ever changed by two threads, and an unlinked reader still leads to those after it, so that
 * whoever walks the list meanwhile misses none that is alive.
 *
 * <p>A thread finds its reader in a small table, by its identity hash, or, where another living
 * thread was first, by a thread-local variable. The table is a shortcut only: what a thread finds
 * there is what the variable holds. Some pools take a thread's variables away after each task (the
 * common pool of {@code ForkJoinPool} does); so a thread that finds none looks into a map of all
 * readers before it makes one: there is one reader per living thread, whatever it runs.
 */
@SuppressWarnings("ReferenceEquality") // threads are compared by identity
final class RcuReaders {
  private static final int PRUNE_FROM = 64;
  private static final VarHandle TABLE = MethodHandles.arrayElementVarHandle(RcuReader[].class);
  private static final int TABLE_LENGTH = 128; // a power of two

  static {
    try {
      // Not in a thread's first section: a class in whose initializer the stack ends stays
      // unusable.
      MethodHandles.lookup().ensureInitialized(RcuReader.class);
    } catch (IllegalAccessException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  /** A thread, by its identity, whatever its class makes of {@code equals}. */
  private static final class Key {
    private final Thread thread;

    Key(Thread thread) {
      this.thread = thread;
    }

    @Override
    public int hashCode() {
      return System.identityHashCode(thread);
    }

    @Override
    public boolean equals(@Nullable Object other) {
      return other instanceof Key key && key.thread == thread;
    }
  }

  @SuppressWarnings("ThreadLocalUsage") // one an Rcu
  private final ThreadLocal<@Nullable RcuReader> own = new ThreadLocal<>();

  private final @Nullable RcuReader[] table = new RcuReader[TABLE_LENGTH];
  private final ConcurrentHashMap<Key, RcuReader> all = new ConcurrentHashMap<>();
  private final AtomicReference<@Nullable RcuReader> head = new AtomicReference<>();
  private final AtomicInteger length = new AtomicInteger();
  private final RoomyLock pruning = new RoomyLock(false);
  private volatile int pruneAt = PRUNE_FROM;
  private final AtomicLong epoch = new AtomicLong(1);
  private final Consumer<? super Throwable> errorHandler;
  private final boolean stacks;

  RcuReaders(Consumer<? super Throwable> errorHandler, boolean stacks) {
    this.errorHandler = errorHandler;
    this.stacks = stacks;
  }

  void enter() {
    own().enter();
  }

  /** The epoch in which a section begins that is entered now. */
  long epoch() {
    // ORDER U3 acquire: whoever reads an epoch sees what was unlinked before it. Pairs with the
    // atomic step in nextEpoch. If weaker: a vCPU, which has no fence here, says that it began
    // after an unlink that it does not see, and is not waited for.
    return epoch.getAcquire();
  }

  /** Whether a reader keeps the stack of the entry into its section. */
  boolean keepStacks() {
    return stacks;
  }

  /** Returns false if the calling thread is in no section. */
  boolean exit() {
    RcuReader reader = find();
    return reader != null && reader.isInside() && reader.cross(RcuReader.LEAVE);
  }

  boolean isInSection() {
    RcuReader reader = find();
    return reader != null && reader.isInside();
  }

  /** The calling thread's reader. */
  RcuReader own() {
    RcuReader reader = find();
    return reader == null ? register() : reader;
  }

  /** The calling thread's reader, if it has one. */
  private @Nullable RcuReader find() {
    Thread thread = Thread.currentThread();
    int index = indexOf(thread);
    // ORDER U8 opaque: only the thread itself takes a reader whose final field names it, and it has
    // made that reader. Pairs with the exchanges in remember and pruneAfter, which take away only
    // readers of threads that have ended: once found here, found here for ever. If weaker (plain):
    // nothing; a thread reads what it has written itself, or goes to the variable.
    RcuReader reader = (RcuReader) TABLE.getOpaque(table, index);
    return reader != null && reader.thread() == thread ? reader : remember(index, reader);
  }

  private static int indexOf(Thread thread) {
    return System.identityHashCode(thread) & (TABLE_LENGTH - 1);
  }

  /** Looks for the calling thread's reader in the variable; into the table, if there is room. */
  private @Nullable RcuReader remember(int index, @Nullable RcuReader other) {
    RcuReader reader = own.get();
    if (reader != null && (other == null || !other.isAlive())) {
      TABLE.compareAndSet(table, index, other, reader); // U8
    }
    return reader;
  }

  private RcuReader register() {
    Key key = new Key(Thread.currentThread());
    RcuReader known = all.get(key);
    if (known != null) { // a pool took the variable away
      own.set(known);
      return known;
    }
    RcuReader reader = new RcuReader(Thread.currentThread(), this);
    link(reader); // first: an error below leaves a reader that nobody uses, not one unseen
    all.put(key, reader);
    own.set(reader);
    if (length.get() >= pruneAt) {
      prune();
    }
    return reader;
  }

  private void link(RcuReader reader) {
    // ORDER U5 volatile: a reader is in the list before its word is published (U1, U4). Pairs with
    // the read in first, which comes after the full fence of GracePeriod and after the vCPUs. If
    // weaker: a grace period misses it.
    RcuReader before = head.get();
    reader.next(before);
    while (!head.compareAndSet(before, reader)) {
      before = head.get();
      reader.next(before);
    }
    length.incrementAndGet();
  }

  /** A grace period has ended. */
  void pruneIfMany() {
    if (length.get() >= PRUNE_FROM) {
      prune();
    }
  }

  /** Unlinks the readers of dead threads, but for the first in the list. */
  private void prune() {
    if (pruning.isHeldByCurrentThread() || !pruning.tryLock()) {
      return; // an error handler that enters a section, or another thread
    }
    try {
      RcuReader first = head.get(); // under the lock: nobody unlinks it meanwhile
      int removed = first == null ? 0 : pruneAfter(first);
      int left = length.addAndGet(-removed);
      pruneAt = left + left / 16 + PRUNE_FROM;
    } finally {
      pruning.unlock();
    }
  }

  private int pruneAfter(RcuReader first) {
    int removed = 0;
    RcuReader last = first;
    for (RcuReader reader = first.next(); reader != null; reader = reader.next()) {
      if (reader.isAlive()) {
        last = reader;
      } else {
        last.next(reader.next());
        removed++;
        TABLE.compareAndSet(table, indexOf(reader.thread()), reader, null); // U8
        all.remove(new Key(reader.thread()), reader);
        leaveDead(reader);
      }
    }
    return removed;
  }

  void leaveDead(RcuReader reader) {
    reader.leaveDead(errorHandler);
  }

  /** Begins a new epoch. */
  long nextEpoch() {
    // U3 volatile: after every unlink before it.
    return epoch.incrementAndGet();
  }

  @Nullable RcuReader first() {
    // U5.
    return head.get();
  }

  int length() {
    return length.get();
  }
}
