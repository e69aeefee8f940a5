package dev.smudge.core.internal.map;

import dev.smudge.sync.embed.EmbeddedLog;
import dev.smudge.sync.rcu.Rcu;
import dev.smudge.sync.rcu.RcuReader;
import org.jspecify.annotations.Nullable;

/**
 * Where writes of devices wait while the guest is paused. A write is a read-side section; whoever
 * shuts the gate waits for the sections that have begun, and finds every write either landed and
 * marked, or waiting here.
 *
 * <p>Let through in any case: the writes of the thread that has shut the gate; and those in a
 * read-side section of the caller's own, for which that thread may be waiting. Refused are those
 * under the collector lock, for which that thread may be waiting too.
 */
@SuppressWarnings("ReferenceEquality") // threads are compared by identity
public final class DeviceGate {
  private static final long LOOK_MILLIS = 100; // whether the holder lives

  private final Rcu rcu;
  private final EmbeddedLog log;
  private volatile @Nullable Thread holder; // of the shut gate; written under this
  private boolean closed; // under this

  DeviceGate(Rcu rcu, EmbeddedLog log) {
    this.rcu = rcu;
    this.log = log;
  }

  /**
   * Begins the read-side section of a write; the caller ends it by {@link RcuReader#cross}.
   *
   * @throws IllegalStateException if it would wait under the collector lock
   */
  public RcuReader enter() {
    RcuReader reader = rcu.reader();
    Thread self = Thread.currentThread();
    boolean outermost = reader.enter();
    // Nothing is called from here on, if the gate is open: a stack that ends leaves no section.
    // ORDER G1 volatile: the section has begun before this look. Pairs with shut, which stores, and
    // then waits for sections by U1. If weaker: a write goes through, and is not waited for.
    for (Thread by = holder; by != null && by != self && outermost; by = holder) {
      try {
        reader.cross(RcuReader.LEAVE);
        log.checkMayWait("a write by a device, which waits for the pause of " + by + ",");
        await();
        reader.enter();
      } catch (StackOverflowError e) {
        reader.left = true; // U9: of the section, if it could not be left
        throw e;
      }
    }
    return reader;
  }

  /**
   * Shuts it, unless it is closed, and waits for the writes that are under way. By one thread at a
   * time.
   */
  void shut() {
    synchronized (this) {
      holder = closed ? null : Thread.currentThread(); // G1
    }
    boolean over = false;
    try {
      rcu.synchronize();
      over = true;
    } finally {
      if (!over) {
        open(Thread.currentThread());
      }
    }
  }

  /** Opens it, if it is shut by that thread. From any thread. */
  synchronized void open(Thread by) {
    if (holder == by) {
      holder = null;
      notifyAll();
    }
  }

  /** Opens it for good, whoever has shut it: writes are refused by others from now on. */
  synchronized void close() {
    closed = true;
    holder = null;
    notifyAll();
  }

  private synchronized void await() {
    boolean interrupted = false;
    for (Thread by = holder; by != null && by.isAlive(); by = holder) {
      try {
        wait(LOOK_MILLIS);
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    Thread by = holder;
    if (by != null) {
      open(by); // by has ended: the pause is over, which whoever waits for that reports
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
