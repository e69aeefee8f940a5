package dev.smudge.snapshot;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.pages.PagePort;
import java.util.Arrays;
import java.util.Objects;

/**
 * The history of a guest, in memory, for example with a state per frame. It steps back and forth
 * between states, and the guest can go on from any of them.
 *
 * <p>A state is kept as the differences of the pages that the guest has written since the state
 * before. All recent states fit into a byte budget; older states thin out, to every second, fourth
 * and eighth state, and the oldest go. In addition to the budget one copy is kept of each page that
 * is not zero. States are numbered from 0 in the order in which they are saved.
 *
 * <p>Restored pages are dirty for all other clients (a display, a code cache), but not for this
 * one. A restore undoes what the guest has written since the current state.
 *
 * <p>Threads: one call at a time, from any thread. The guest must stand still during a call,
 * between two frames or in a pause that the caller holds, and its slots must not change. A slot may
 * be added while there are states, and counts as zero in earlier states. After a slot was removed
 * or changed, all calls except {@link #close} are refused.
 *
 * <p>Errors: if the port, the machine or the JVM throws, each state is there as a whole or not at
 * all, no page is lost for any client, and the next call completes what is left to do. After an
 * error in a restore RAM is a mixture of two states until the next restore.
 *
 * <p>Allocation: a few small objects per call, for the take from the client, once it has seen the
 * pages that the guest writes. Source: docs/guide/rewind.md.
 *
 * @param <S> what the client calls a slot
 */
public final class Rewind<S> implements AutoCloseable {
  private static final int CHUNK = 4096; // of the machine's bytes, as pages
  private static final int LENGTH_BYTES = 8;
  private static final long MOST_MACHINE_BYTES = 1L << 30;

  private final GuestPages<S> pages;
  private final History<S> history;
  private final Part<S> machinePart;
  private final MachineState machine;
  private byte[] machineBytes = {};

  private Rewind(GuestPages<S> pages, MachineState machine, long budgetBytes) {
    this.pages = pages;
    this.machine = machine;
    this.machinePart =
        new Part<>(null, 0, 1 + MOST_MACHINE_BYTES / CHUNK, CHUNK, CHUNK, new PageTable());
    pages.parts.add(machinePart);
    this.history = new History<>(pages.parts, budgetBytes);
    pages.claimClient(null);
  }

  /**
   * As {@link #over(DirtyClient, PagePort, MachineState, long)}, for a guest whose state is all in
   * its RAM.
   *
   * @param client see there
   * @param ram see there
   * @param budgetBytes see there
   * @param <S> what the client calls a slot
   * @return the history, without a state
   */
  public static <S> Rewind<S> over(DirtyClient<S> client, PagePort<S> ram, long budgetBytes) {
    return over(client, ram, MachineState.NONE, budgetBytes);
  }

  /**
   * Makes a history without a state.
   *
   * @param client a new client of the guest, for this history alone, and closed with it. It sees
   *     every page as dirty ({@code ALL_DIRTY}); or none, if all RAM is zero when it is made
   * @param ram reads and writes the guest's pages
   * @param machine the rest of the guest's state
   * @param budgetBytes most bytes of differences, 65,536 to 2^31; allocated now
   * @param <S> what the client calls a slot
   * @return the history
   * @throws IllegalArgumentException if the budget is outside that
   * @throws IllegalStateException if the client is that of another {@code Rewind}, of a {@link
   *     Reset} or of a {@link SnapshotStore}, or has taken a {@link BaseImage}
   */
  public static <S> Rewind<S> over(
      DirtyClient<S> client, PagePort<S> ram, MachineState machine, long budgetBytes) {
    if (budgetBytes < 1 << 16 || budgetBytes > 1L << 31) {
      throw new IllegalArgumentException(
          "a budget of " + budgetBytes + " bytes: 65,536 to 2,147,483,648");
    }
    return new Rewind<>(
        new GuestPages<>(client, ram, (slotId, pageCount, pageBytes) -> new PageTable()),
        Objects.requireNonNull(machine, "machine"),
        budgetBytes);
  }

  /**
   * Saves the present state after the current one; all states after the current one are dropped.
   * The cost depends on the pages that were written since the current state. If the difference does
   * not fit into half the budget, all older states are dropped.
   *
   * @return the number of the new state: one more than that of the current state
   * @throws IllegalStateException if the client is closed, a slot was removed or changed, or
   *     another call is under way; there is no new state
   */
  public long save() {
    SaveEvent event = new SaveEvent();
    event.begin();
    pages.enter(); // the last before the try: an error between the two would lock others out
    try {
      pages.settle();
      history.settle();
      byte[] bytes =
          Objects.requireNonNull(machine.save(), "state of the machine"); // may write RAM
      pages.absorb();
      if (event.isEnabled()) {
        event.pages = pages.pendingPages();
      }
      int chunks = chunks(bytes.length);
      machinePart.pending.addRange(0, chunks);
      long state = history.current() + 1; // 0 if there is none
      history.dropFront();
      boolean recorded = !history.isEmpty() && history.open();
      if (!recorded) {
        history.clear();
      }
      for (int i = 0; i < pages.parts.size(); i++) {
        recorded = save(pages.parts.get(i), bytes, recorded);
      }
      if (recorded) {
        history.add(state);
      } else {
        history.begin(state);
      }
      pages.clearPending();
      if (event.shouldCommit()) {
        event.state = state;
        event.usedBytes = usedBytes();
        event.commit();
      }
      return state;
    } catch (StackOverflowError e) {
      pages.stackEnded = true; // calls nothing
      throw e;
    } finally {
      pages.busy = false;
    }
  }

  /** Takes over what a part has pending; returns whether it is recorded still. */
  private boolean save(Part<S> part, byte[] bytes, boolean record) {
    boolean recorded = record;
    S slot = part.slot;
    long end = part.pending.pageCount();
    for (long page = part.pending.nextPage(0); page >= 0; page = part.pending.nextPage(page)) {
      for (long past = part.pending.endOfRun(page, end); page < past; page++) {
        byte[] fresh = slot == null ? chunk(bytes, (int) page) : pages.read(part, slot, page);
        if (Arrays.equals(fresh, part.page(page))) {
          continue;
        }
        if (recorded && !history.record(part, page)) {
          history.clear(); // it does not fit: there will be this state alone
          recorded = false;
        }
        if (!recorded) {
          part.replace(part.table.block(page), PageTable.index(page));
        }
      }
    }
    return recorded;
  }

  private static int chunks(int length) {
    return (int) (((long) length + LENGTH_BYTES + CHUNK - 1) / CHUNK);
  }

  /** The machine's bytes, with their length before them, as pages. */
  private byte[] chunk(byte[] bytes, int index) {
    byte[] page = machinePart.spare();
    Arrays.fill(page, (byte) 0);
    int from = index * CHUNK - LENGTH_BYTES;
    int skip = 0;
    if (index == 0) {
      for (int i = 0; i < 4; i++) {
        page[i] = (byte) (bytes.length >>> (8 * i));
      }
      from = 0;
      skip = LENGTH_BYTES;
    }
    int length = Math.min(CHUNK - skip, bytes.length - from);
    if (length > 0) { // pages of a longer state of before may be pending too
      System.arraycopy(bytes, from, page, skip, length);
    }
    return page;
  }

  /**
   * Restores the state before the current one.
   *
   * @return whether there is one; if not, nothing is changed
   * @throws IllegalStateException if there is no state at all, or as {@link #save}
   */
  public boolean back() {
    return step(false);
  }

  /**
   * Restores the state after the current one, from which {@link #back} or {@link #jump} has come.
   *
   * @return whether there is one; if not, nothing is changed
   * @throws IllegalStateException as {@link #back}
   */
  public boolean forward() {
    return step(true);
  }

  private boolean step(boolean forward) {
    RestoreEvent event = begun();
    pages.enter();
    try {
      prepare();
      boolean moved = forward ? history.forward() : history.back();
      if (moved) {
        write(event);
      }
      return moved;
    } catch (StackOverflowError e) {
      pages.stackEnded = true; // calls nothing
      throw e;
    } finally {
      pages.busy = false;
    }
  }

  /**
   * Restores the state with the number. If that state was thinned out, it restores the last state
   * before it, or the oldest if there is none before it. The cost depends on the pages that were
   * written between the two states.
   *
   * @param state number of the state, 0 or more
   * @return the number of the state that is the current one now
   * @throws IllegalArgumentException if the number is less than 0; nothing is changed
   * @throws IllegalStateException as {@link #back}
   */
  public long jump(long state) {
    if (state < 0) {
      throw new IllegalArgumentException("state " + state + " is less than 0");
    }
    RestoreEvent event = begun();
    pages.enter();
    try {
      prepare();
      while (history.current() < state && history.forward()) {
        // on to the first that is not before it
      }
      while (history.current() > state && history.back()) {
        // and back to the last that is not after it
      }
      write(event);
      return history.current();
    } catch (StackOverflowError e) {
      pages.stackEnded = true; // calls nothing
      throw e;
    } finally {
      pages.busy = false;
    }
  }

  private static RestoreEvent begun() {
    RestoreEvent event = new RestoreEvent();
    event.begin();
    return event;
  }

  /** Ends what was begun, and finds what the guest has written since the current state. */
  private void prepare() {
    pages.settle();
    history.settle();
    if (history.isEmpty()) {
      throw new IllegalStateException("there is no state to restore: save one first");
    }
    pages.absorb();
  }

  private void write(RestoreEvent event) {
    long written = pages.write();
    byte[] first = machinePart.page(0);
    int length = 0;
    for (int i = 0; i < 4; i++) {
      length |= (first[i] & 0xff) << (8 * i);
    }
    if (machineBytes.length != length) {
      machineBytes = new byte[length];
    }
    for (int done = 0, i = 0; done < length; i++) {
      int skip = i == 0 ? LENGTH_BYTES : 0;
      int count = Math.min(CHUNK - skip, length - done);
      System.arraycopy(machinePart.page(i), skip, machineBytes, done, count);
      done += count;
    }
    machinePart.pending.clear();
    machine.restore(machineBytes);
    if (event.shouldCommit()) {
      event.state = history.current();
      event.pages = written;
      event.commit();
    }
  }

  /**
   * Returns the number of the current state, which is the one that was saved or restored last.
   *
   * @return the number, -1 if there is no state
   */
  public long current() {
    pages.enter();
    try {
      pages.settle();
      history.settle();
      return history.current();
    } catch (StackOverflowError e) {
      pages.stackEnded = true; // calls nothing
      throw e;
    } finally {
      pages.busy = false;
    }
  }

  /** {@return the number of the oldest state, -1 if there is none} */
  public long oldest() {
    return history.oldest();
  }

  /** {@return the number of the newest state, -1 if there is none} */
  public long newest() {
    return history.newest();
  }

  /** {@return how many states there are} */
  public long states() {
    return history.states();
  }

  /** {@return how many bytes of the budget are in use} */
  public long usedBytes() {
    return history.bytes();
  }

  /**
   * Drops all states and closes the client. The guest stays as it is.
   *
   * @throws IllegalStateException if another call is under way; nothing is changed
   */
  @Override
  public void close() {
    pages.close();
  }

  @Override
  public String toString() {
    return "Rewind[states " + oldest() + " to " + newest() + ", " + usedBytes() + " bytes]";
  }
}
