package dev.smudge.snapshot;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.PagePort;
import java.util.Objects;

/**
 * Takes a guest back to a {@link BaseImage}, over and over: a fuzzer's target after each input, a
 * sandbox after each request. A reset costs what the guest has written since the one before.
 *
 * <p>What it restores is dirty for all other clients, and not for this one.
 *
 * <p>Threads: one call at a time, from any thread. The guest stands still meanwhile, and its slots
 * are not changed meanwhile. A slot that the image does not know is reset to zeroes.
 *
 * <p>Errors: after whatever is thrown, by the port, the machine or the JVM, RAM is a mixture of
 * before and of the image, no page is lost for any client, and the next reset does what is left.
 *
 * <p>Allocation: none of its own; each call takes once from the client, which makes a few small
 * objects. Source: docs/guide/reset.md.
 *
 * @param <S> what the client calls a slot
 */
public final class Reset<S> implements AutoCloseable {
  private final GuestPages<S> pages;
  private final MachineState machine;
  private final BaseImage base;
  private final byte[] machineBytes;

  private Reset(GuestPages<S> pages, MachineState machine, BaseImage base) {
    this.pages = pages;
    this.machine = machine;
    this.base = base;
    this.machineBytes = base.machine().clone();
  }

  /**
   * Makes one; the guest stays as it is until the first {@link #reset}.
   *
   * @param client a client of the guest's, for this alone, and closed with it. It sees every page
   *     as dirty ({@code ALL_DIRTY}), and the first reset writes them all; or it is the one that
   *     the image was taken with, which goes on from there
   * @param ram reads and writes the guest's pages
   * @param machine the rest of the guest's state
   * @param base what to go back to; shared with other guests, if you like
   * @param <S> what the client calls a slot
   * @return the reset
   */
  public static <S> Reset<S> over(
      DirtyClient<S> client, PagePort<S> ram, MachineState machine, BaseImage base) {
    return new Reset<>(
        new GuestPages<>(client, ram, Objects.requireNonNull(base, "base")::table),
        Objects.requireNonNull(machine, "machine"),
        base);
  }

  /**
   * Makes one that goes back to the guest of now.
   *
   * @param client see {@link BaseImage#of}; closed with the reset
   * @param ram reads and writes the guest's pages
   * @param machine the rest of the guest's state
   * @param <S> what the client calls a slot
   * @return the reset
   */
  public static <S> Reset<S> toNow(DirtyClient<S> client, PagePort<S> ram, MachineState machine) {
    return over(client, ram, machine, BaseImage.of(client, ram, machine));
  }

  /**
   * Makes the guest what the image is: writes the pages that were written since the last reset, and
   * sets the state of the machine.
   *
   * @return how many pages were dirty
   * @throws IllegalArgumentException if a slot has other pages than in the image; nothing is
   *     written
   * @throws IllegalStateException if the client is closed, a slot was removed or changed, or
   *     another call is under way; nothing is written
   */
  public long reset() {
    ResetEvent event = new ResetEvent();
    event.begin();
    pages.enter();
    try {
      pages.absorb();
      long count = pages.pendingPages();
      pages.write();
      System.arraycopy(base.machine(), 0, machineBytes, 0, machineBytes.length);
      machine.restore(machineBytes);
      if (event.shouldCommit()) {
        event.pages = count;
        event.commit();
      }
      return count;
    } finally {
      pages.busy = false;
    }
  }

  /** {@return what it goes back to} */
  public BaseImage base() {
    return base;
  }

  /**
   * Ends it: the client is closed. The guest stays as it is.
   *
   * @throws IllegalStateException if another call is under way; nothing is changed
   */
  @Override
  public void close() {
    pages.close();
  }

  @Override
  public String toString() {
    return "Reset[" + base + "]";
  }
}
