package dev.smudge.snapshot;

import dev.smudge.snapshot.StoredState.Geometry;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.RunConsumer;
import dev.smudge.sync.pages.PagePort;
import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.List;
import java.util.Objects;

/**
 * Save states of one guest in a file. The first state is saved whole. Each later state is saved as
 * the pages that the guest has written since the state before, and takes time and room only for
 * those. Any state can be restored, which writes only pages that differ; if the guest goes on from
 * an older state, it begins a branch.
 *
 * <pre>{@code
 * try (SnapshotStore<LogSlot> store = SnapshotStore.open(file, client, pages, machine)) {
 *   if (!store.states().isEmpty()) {
 *     store.restore(store.states().get(0).number());
 *   }
 *   ...
 *   long state = store.save("before the boss");
 * }
 * }</pre>
 *
 * <p><b>Crashes.</b> When {@code save} returns, the state's pages are on the disk, and after them,
 * by a second wait for the disk, the record that says so. If the process or the machine dies, the
 * file has every state whose save has returned, and perhaps the state that was being saved, as a
 * whole. An incomplete state is cut off by the next call that writes; {@link #lostBytes} returns
 * its size. A state that cannot be written, on a full disk for example, is cut off at once. Other
 * damage is found by checksums, and the exception names its place: no wrong state is restored.
 *
 * <p><b>Threads and errors.</b> Nothing may write guest memory during a call, except during {@link
 * Capture#write}. One call at a time, by any thread; a second one is refused with an {@link
 * IllegalStateException}. If a call that saves throws, the store is as before, and the guest's
 * pages are dirty for the next save; after an {@link Error} the state may be there. An interrupt is
 * kept, and ends no call but those for plain images. The slots have to stay those of the first
 * call, and their pages have at most 4 MiB.
 *
 * @param <S> what the client calls a slot
 */
public final class SnapshotStore<S> implements AutoCloseable {
  /**
   * A state in a store.
   *
   * @param number its number: larger than those of all states that were saved before
   * @param parent the state from which the guest had gone on, or its nearest ancestor that is not
   *     deleted; -1: none
   * @param time when it was saved, in milliseconds
   * @param name as given to {@link #save(String)}
   * @param pages how many pages it has in the file: those that differ from its parent's
   * @param bytes how many bytes of the file are its own
   */
  public record State(
      long number, long parent, Instant time, String name, long pages, long bytes) {}

  private final Path path;
  private final Closeable lock;
  private final StoredGuest<S> guest;
  private long lostBytes;

  private SnapshotStore(
      Path path,
      Closeable lock,
      StoreIndex index,
      DirtyClient<S> client,
      PagePort<S> ram,
      MachineState machine) {
    this.path = path;
    this.lock = lock;
    this.guest = new StoredGuest<>(index, client, ram, machine);
  }

  /**
   * Opens a store, or makes an empty one. A second file, whose name ends with {@code .lock}, keeps
   * other processes and objects from opening the store while it is open. That file is not deleted.
   * A compaction makes a third file, whose name ends with {@code .compact}.
   *
   * @param file the store's file, of the default file system. Symbolic links are followed. By
   *     another hard link a file is not opened a second time in this process; other processes do
   *     not find that it is the same
   * @param client a client of the guest, for this store alone, and closed with it. It sees every
   *     page as dirty ({@code ALL_DIRTY})
   * @param ram reads and writes the guest's pages
   * @param machine the rest of the guest's state
   * @param <S> what the client calls a slot
   * @return the store; the guest is in none of its states yet
   * @throws dev.smudge.snapshot.stream.PageDamageException if the file is no store, or damaged
   * @throws IOException if the file cannot be read or made, is no regular file, or is open
   *     elsewhere. The client is not closed
   * @throws IllegalStateException if the client is that of another store, of a {@link Rewind} or of
   *     a {@link Reset}, or has taken a {@link BaseImage}
   */
  public static <S> SnapshotStore<S> open(
      Path file, DirtyClient<S> client, PagePort<S> ram, MachineState machine) throws IOException {
    Objects.requireNonNull(machine, "machine");
    Path name = StoreFiles.realName(file);
    Closeable lock = StoreFiles.lock(name);
    StoreFile.Disk disk;
    try {
      disk = new StoreFile.FileDisk(name);
    } catch (Throwable e) {
      StoreFiles.closeAfter(e, lock);
      throw e;
    }
    return over(disk, name, lock, client, ram, machine);
  }

  /** Over a disk, and a lock, both of which it closes if that fails. */
  static <S> SnapshotStore<S> over(
      StoreFile.Disk disk,
      Path file,
      Closeable lock,
      DirtyClient<S> client,
      PagePort<S> ram,
      MachineState machine)
      throws IOException {
    try {
      StoreIndex index = new StoreIndex(new StoreFile(disk));
      long lost = disk.size();
      if (lost < StoreLayout.HEADER_SIZE) {
        index.file.create();
      } else {
        lost = index.scan();
      }
      SnapshotStore<S> store = new SnapshotStore<>(file, lock, index, client, ram, machine);
      store.lostBytes = lost;
      return store;
    } catch (Throwable e) {
      StoreFiles.closeAfter(e, disk);
      StoreFiles.closeAfter(e, lock);
      throw e;
    }
  }

  /**
   * As {@link #save(String)}, without a name.
   *
   * @return the state's number
   * @throws IOException see there
   */
  public long save() throws IOException {
    return save("");
  }

  /**
   * Saves the present state as a child of the current one. The cost depends on the pages that were
   * written since the current state.
   *
   * @param name for people; at most 100,000 characters
   * @return its number; it is now the current state
   * @throws IOException if the file cannot be written, or somebody has removed it, replaced it or
   *     cut it off; the store is as before
   * @throws IllegalStateException if the store or the client is closed, a slot was removed or
   *     changed, or another call is under way; the store is as before
   * @throws IllegalArgumentException if the name is too long, or the pages of a slot are too large;
   *     the store is as before
   */
  public long save(String name) throws IOException {
    checkName(name);
    guest.enter();
    try {
      return guest.save(name);
    } finally {
      guest.pages.busy = false;
    }
  }

  private static void checkName(String name) {
    if (name.length() > 100_000) {
      throw new IllegalArgumentException(
          "a name of " + name.length() + " characters: at most 100,000");
    }
  }

  /**
   * Copies, in memory, the pages that {@link #save} would write, so that the guest can run on while
   * they are written. The guest stands still only for the take and for the copy of its dirty pages,
   * and not for the disk.
   *
   * @return the capture; write or close it before any other call
   * @throws IllegalStateException as {@link #save}
   */
  public Capture capture() {
    guest.enter();
    try {
      return new Capture(guest.capture());
    } finally {
      guest.pages.busy = false;
    }
  }

  /** A state that is in memory and not in the store yet. */
  public final class Capture implements AutoCloseable {
    private final StoredGuest.Copy copy;

    private Capture(StoredGuest.Copy copy) {
      this.copy = copy;
      guest.open = copy; // last, by a store: one that nobody has cannot be closed
    }

    /**
     * Writes the state into the store. The guest may run meanwhile.
     *
     * @param name for people; at most 100,000 characters
     * @return the state's number; it is the current one now
     * @throws IOException if the file cannot be written; the store is as before, and this can be
     *     called again
     * @throws IllegalStateException if it was written or closed already
     */
    public long write(String name) throws IOException {
      checkName(name);
      guest.pages.enter();
      try {
        return guest.write(name, copy);
      } finally {
        guest.pages.busy = false;
      }
    }

    /** Drops the capture, unless it was written: its pages come with the next state. */
    @Override
    public void close() {
      guest.forget(copy);
    }
  }

  /**
   * Restores a state: writes the pages in which the guest differs from it, and then sets the state
   * of the machine. The guest goes on from there; states that were saved after it stay.
   *
   * @param number the state's number
   * @throws IllegalArgumentException if there is no such state; nothing is changed
   * @throws dev.smudge.snapshot.stream.PageDamageException if a part of the state is damaged. Some
   *     pages may be restored by then: restore another state, or this one again
   * @throws IOException if the file cannot be read; likewise
   * @throws IllegalStateException as {@link #save}, and if the guest's slots are not those of the
   *     state; nothing is written
   */
  public void restore(long number) throws IOException {
    guest.enter();
    try {
      guest.restore(guest.listed(number));
    } catch (UncheckedIOException e) {
      throw e.getCause();
    } finally {
      guest.pages.busy = false;
    }
  }

  /**
   * Hands out the pages in which the guest may now differ from a state: all pages that were written
   * since, on the way through other states too. Each page is handed out once, and all other pages
   * are equal. Nothing is saved, and the guest stays as it is. Any number of states may be
   * compared.
   *
   * @param since number of the state
   * @param consumer gets the runs, and may read RAM; what it throws comes through
   * @param <E> what it may throw
   * @throws E if the consumer throws it
   * @throws IllegalArgumentException if there is no such state
   * @throws IllegalStateException as {@link #restore}
   */
  @SuppressWarnings("unchecked") // what it throws is E, as is declared here
  public <E extends Exception> void forEachRunSince(long since, RunConsumer<? super S, E> consumer)
      throws E {
    guest.enter();
    try {
      guest.forEachRunSince(
          guest.listed(since),
          (RunConsumer<? super S, RuntimeException>) Objects.requireNonNull(consumer, "consumer"));
    } finally {
      guest.pages.busy = false;
    }
  }

  /** {@return the states, in the order in which they were saved} */
  public List<State> states() {
    return guest.index.states.values().stream()
        .filter(state -> !state.deleted)
        .map(state ->
            new State(
                state.number,
                guest.index.listedParent(state),
                Instant.ofEpochMilli(state.millis),
                state.name,
                state.pageCount(),
                state.end - state.begin))
        .toList();
  }

  /** {@return the state that the guest goes on from; -1 before the first save or restore} */
  public long current() {
    return guest.current;
  }

  /** {@return how many bytes of the file belong to complete states} */
  public long fileBytes() {
    return guest.index.file.committed();
  }

  /**
   * {@return how many bytes of an incomplete state were at the end of the file when it was opened;
   * 0 if it was closed properly}
   */
  public long lostBytes() {
    return lostBytes;
  }

  /**
   * Deletes a state. States that were saved after it stay; its pages stay in the file until {@link
   * #compact}.
   *
   * @param number the state's number
   * @throws IllegalArgumentException if there is no such state, or it is the current one; nothing
   *     is changed
   * @throws IOException if the file cannot be written; nothing is changed
   */
  public void delete(long number) throws IOException {
    guest.enter();
    try {
      guest.delete(number);
    } finally {
      guest.pages.busy = false;
    }
  }

  /**
   * Writes the states into a new file, without bytes that no state needs, and replaces the old file
   * by it in one step. The states keep their numbers.
   *
   * @return how many bytes the file is smaller
   * @throws IOException if the file cannot be written, a page is damaged, somebody has replaced the
   *     store's file, or another file has the name of the new one; the store is as before. Also if
   *     the directory cannot be written to the disk; the new file is then in use
   * @throws IllegalStateException if the store is closed, or another call is under way; nothing is
   *     changed
   */
  public long compact() throws IOException {
    guest.enter();
    try {
      StoreCompactionEvent event = new StoreCompactionEvent();
      event.begin();
      StoreIndex old = guest.index;
      try {
        StoreFiles.compact(guest, path);
        StoreFiles.forceDirectory(path);
      } finally {
        if (!old.equals(guest.index)) {
          old.close();
        }
      }
      event.before = old.file.committed();
      event.after = guest.index.file.committed();
      event.commit();
      return event.before - event.after;
    } finally {
      guest.pages.busy = false;
    }
  }

  /**
   * Writes the RAM of a slot, as it is in a state, as a plain image, which other virtual machines
   * can read: page after page, with holes for pages of zeroes.
   *
   * @param number the state's number
   * @param slotId number of the slot
   * @param image the file, which must not exist
   * @throws IllegalArgumentException if there is no such state or slot; nothing is written
   * @throws IOException if it cannot be written, or something is damaged; the file may be there
   *     then
   */
  public void exportImage(long number, int slotId, Path image) throws IOException {
    guest.enter();
    try {
      StoredState state = guest.listed(number);
      Geometry slot = StoreIndex.slots(state).get(slotId);
      if (slot == null) {
        throw new IllegalArgumentException(
            "state " + number + " has no slot " + slotId + "; slots: " + state.slots);
      }
      StoreFiles.exportImage(guest.index, number, slot, image);
    } finally {
      guest.pages.busy = false;
    }
  }

  /**
   * Makes a state from a plain image of one slot's RAM; all other slots are zero in it. The guest
   * stays as it is until you {@link #restore} the state.
   *
   * @param slotId number of the slot
   * @param image the file; the slot is zero beyond the end of the file
   * @param bytes the bytes for {@link MachineState#restore}
   * @param name for people; at most 100,000 characters
   * @return the state's number; it has no parent
   * @throws IllegalArgumentException if the guest has no such slot, or the file is larger than it;
   *     the store is as before
   * @throws IOException if the image cannot be read, or the store not written; the store is as
   *     before
   */
  public long importImage(int slotId, Path image, byte[] bytes, String name) throws IOException {
    checkName(name);
    guest.enter();
    try (FileChannel from = FileChannel.open(image, StandardOpenOption.READ)) {
      guest.pages.absorb();
      List<Geometry> slots = guest.geometry();
      Geometry slot = StoredGuest.slotOf(slots, slotId);
      long size = slot.pageCount() * slot.pageBytes();
      if (from.size() > size) {
        throw new IllegalArgumentException(
            image + " has " + from.size() + " bytes, but slot " + slotId + " has " + size);
      }
      StoredGuest.Content content = writer -> StoreFiles.importImage(from, slot, writer);
      return guest.writeOther(name, content, bytes.clone(), slots);
    } finally {
      guest.pages.busy = false;
    }
  }

  /**
   * Closes the store and the client. The guest stays as it is. An open capture is dropped. A second
   * call does nothing; other calls that change the store are refused after this.
   *
   * @throws IllegalStateException if another call is under way; nothing is changed
   * @throws IOException if the file cannot be closed; all saved states are on the disk
   */
  @Override
  public void close() throws IOException {
    guest.close(lock);
  }

  @Override
  public String toString() {
    return "SnapshotStore["
        + path
        + ", "
        + states().size()
        + " states, current "
        + guest.current
        + "]";
  }
}
