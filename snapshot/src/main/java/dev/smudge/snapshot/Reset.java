package dev.smudge.snapshot;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.pages.PagePort;
import java.util.Objects;

/**
 * Takes a guest back to a {@link BaseImage}, over and over: a fuzzer's target after each input, a
 * sandbox after each request. A reset costs time for each page that the guest has written since the
 * last one.
 *
 * <p>Restored pages are dirty for all other clients, but not for this one.
 *
 * <p>Threads: one call at a time, from any thread. The guest must stand still during a call, and
 * its slots must not change. A slot that the image does not have is reset to zeroes.
 *
 * <p>Errors: if the port, the machine or the JVM throws, RAM is a mixture of its old content and
 * the image, no page is lost for any client, and the next reset restores the remaining pages.
 *
 * <p>Allocation: a few small objects per call, for the take from the client. Source:
 * docs/guide/reset.md.
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
    pages.claimClient(base);
  }

  /**
   * Makes a reset; the guest stays as it is until the first {@link #reset}.
   *
   * @param client a client of the guest, for this reset alone, and closed with it. It sees every
   *     page as dirty ({@code ALL_DIRTY}), and the first reset writes every page, except those that
   *     are zero both in RAM and in the image; or it is the client with which this very image was
   *     taken
   * @param ram reads and writes the guest's pages
   * @param machine the rest of the guest's state
   * @param base the image to go back to; other guests may share it
   * @param <S> what the client calls a slot
   * @return the reset
   * @throws IllegalStateException if the client is that of another {@code Reset}, of a {@link
   *     Rewind} or of a {@link SnapshotStore}, or has taken another image
   */
  public static <S> Reset<S> over(
      DirtyClient<S> client, PagePort<S> ram, MachineState machine, BaseImage base) {
    return new Reset<>(
        new GuestPages<>(client, ram, Objects.requireNonNull(base, "base")::table),
        Objects.requireNonNull(machine, "machine"),
        base);
  }

  /**
   * Makes a reset that goes back to the present state of the guest.
   *
   * @param client see {@link BaseImage#of}; closed with the reset
   * @param ram reads and writes the guest's pages
   * @param machine the rest of the guest's state
   * @param <S> what the client calls a slot
   * @return the reset
   * @throws IllegalStateException see {@link #over} and {@link BaseImage#of}
   */
  public static <S> Reset<S> toNow(DirtyClient<S> client, PagePort<S> ram, MachineState machine) {
    return over(client, ram, machine, BaseImage.of(client, ram, machine));
  }

  /**
   * Restores the image: writes the pages that were written since the last reset, and sets the state
   * of the machine.
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

  /** {@return the image that it goes back to} */
  public BaseImage base() {
    return base;
  }

  /**
   * Closes the client. The guest stays as it is.
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
