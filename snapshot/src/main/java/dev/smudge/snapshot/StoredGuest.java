package dev.smudge.snapshot;

import dev.smudge.bitmap.PageSet;
import dev.smudge.snapshot.StoredState.Geometry;
import dev.smudge.snapshot.stream.PageRunEncoder;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.RunConsumer;
import dev.smudge.sync.internal.stack.StackRoom;
import dev.smudge.sync.pages.PagePort;
import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The guest of a {@link SnapshotStore}, and the state that it goes on from: a page of RAM is that
 * of the current state, or it is pending ({@link GuestPages}). Each call is within {@link #enter}.
 *
 * @param <S> what the client calls a slot
 */
final class StoredGuest<S> {
  final GuestPages<S> pages;
  StoreIndex index;
  long current = -1;

  PlaceTable places; // of the current state, or of one before it

  private final PagePort<S> ram;
  private final MachineState machine;
  @Nullable Copy open; // a capture that was not written
  private boolean closed; // the store

  /** What a capture has copied. */
  static final class Copy {
    private final List<List<byte[]>> contents = new ArrayList<>(); // per part
    private final List<List<Long>> numbers = new ArrayList<>();
    private final List<Geometry> slots;
    private final byte[] machine;

    private Copy(List<Geometry> slots, byte[] machine) {
      this.slots = slots;
      this.machine = machine;
    }
  }

  StoredGuest(StoreIndex index, DirtyClient<S> client, PagePort<S> ram, MachineState machine) {
    this.index = index;
    this.places = new PlaceTable(index);
    this.ram = ram;
    this.machine = machine;
    this.pages = new GuestPages<>(client, ram, (slotId, count, bytes) -> new Table(slotId, bytes));
    pages.claimClient(null);
  }

  /** The pages of a slot in the current state. */
  private final class Table extends PageTable {
    private final int slotId;
    private final byte[] page;

    Table(int slotId, int pageBytes) {
      if (pageBytes > PageRunEncoder.MAX_PAGE_BYTES) {
        throw new IllegalArgumentException(
            "pages of slot "
                + slotId
                + " have "
                + pageBytes
                + " bytes: a store saves pages of at most "
                + PageRunEncoder.MAX_PAGE_BYTES);
      }
      this.slotId = slotId;
      this.page = new byte[pageBytes];
    }

    @Override
    long next(long number, long past) {
      return Math.min(past, places.next(slotId, number));
    }

    @Override
    long endOfRun(long number, long past) {
      long end = number + 1;
      while (end < past && places.find(slotId, end) >= 0) {
        end++;
      }
      return end;
    }

    @Override
    byte @Nullable [] get(long number) {
      long place = places.find(slotId, number);
      if (place < 0) {
        return null;
      }
      try {
        index.pages.read(place, page);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      return page;
    }
  }

  /** Before the pages are absorbed: it may write some. */
  private byte[] machineBytes() {
    return Objects.requireNonNull(machine.save(), "state of the machine").clone();
  }

  void enter() {
    pages.enter();
    if (closed) { // its file may be another store's by now
      pages.busy = false;
      throw new IllegalStateException("the store is closed");
    }
    if (open != null) {
      pages.busy = false;
      throw new IllegalStateException("a capture is open: write it or close it first");
    }
  }

  /** Closes all, unless another call is under way. */
  void close(Closeable lock) throws IOException {
    StackRoom.check(StackRoom.RELEASE); // a channel whose close is cut short keeps the file locked
    pages.enter();
    closed = true;
    open = null;
    try {
      pages.closeEntered();
    } finally {
      try {
        index.close();
      } finally {
        lock.close();
      }
    }
  }

  /** Receives pages. */
  private interface PageConsumer<E extends Exception> {
    void accept(long page, byte[] content) throws E;
  }

  /** Hands out the pending pages, except those that are zero in RAM and in the current state. */
  private <E extends Exception> void forEachPending(Part<S> part, S slot, PageConsumer<E> consumer)
      throws E {
    pages.beginWalk();
    long end = part.pending.pageCount();
    for (long page = part.pending.nextPage(0); page >= 0; page = part.pending.nextPage(page)) {
      long past = part.pending.endOfRun(page, end);
      boolean first = true;
      while ((page = pages.skipZeroes(part, slot, page, past, first)) < past) {
        consumer.accept(page, pages.read(part, slot, page));
        page++;
        first = false;
      }
    }
  }

  /** Puts the pages of a state into a writer. */
  interface Content {
    void writeTo(StateWriter writer) throws IOException;
  }

  /** Writes a state without a parent, which does not become the current one. */
  long writeOther(String name, Content content, byte[] bytes, List<Geometry> slots)
      throws IOException {
    return write(name, -1, content, bytes, slots, false).number;
  }

  private StoredState write(
      String name,
      long parent,
      Content content,
      byte[] bytes,
      List<Geometry> slots,
      boolean becomesCurrent)
      throws IOException {
    StoreFile file = index.file;
    StoredState from = index.states.get(parent);
    if (from != null && !new HashSet<>(slots).containsAll(from.slots)) {
      throw otherSlots(from); // the file could not be opened again
    }
    file.beginGroup();
    StoredState state =
        new StoredState(
            index.nextNumber(), parent, System.currentTimeMillis(), name, slots, file.end());
    PlaceTable of = parent == current ? places : new PlaceTable(index);
    of.moveTo(parent);
    try (StateWriter writer = StateWriter.begin(index, state, of)) {
      content.writeTo(writer);
      writer.finish(bytes);
      if (becomesCurrent) {
        current = state.number; // at once: nothing is called since the file counts it
      }
    }
    return state;
  }

  List<Geometry> geometry() {
    List<Geometry> slots = new ArrayList<>();
    for (Part<S> part : pages.parts) {
      S slot = Objects.requireNonNull(part.slot);
      slots.add(new Geometry(ram.slotId(slot), part.pending.pageCount(), part.pageBytes));
    }
    return slots;
  }

  static Geometry slotOf(List<Geometry> slots, int slotId) {
    for (Geometry slot : slots) {
      if (slot.slotId() == slotId) {
        return slot;
      }
    }
    throw new IllegalArgumentException("the guest has no slot " + slotId + "; slots: " + slots);
  }

  /** Saves what is dirty, and returns the number. */
  long save(String name) throws IOException {
    StoreSaveEvent event = new StoreSaveEvent();
    event.begin();
    byte[] bytes = machineBytes();
    pages.absorb();
    places.moveTo(current);
    Content content =
        writer -> {
          for (Part<S> part : pages.parts) {
            S slot = Objects.requireNonNull(part.slot);
            writer.slot(ram.slotId(slot), part.pageBytes);
            forEachPending(part, slot, writer::page);
          }
        };
    return saved(write(name, current, content, bytes, geometry(), true), event);
  }

  private long saved(StoredState state, StoreSaveEvent event) {
    pages.clearPending();
    event.state = state.number;
    event.pages = state.pageCount();
    event.bytes = state.end - state.begin;
    event.disk = index.file.waited;
    event.commit();
    return state.number;
  }

  /** Copies what is dirty. */
  Copy capture() {
    StoreCaptureEvent event = new StoreCaptureEvent();
    event.begin();
    byte[] bytes = machineBytes();
    pages.absorb();
    places.moveTo(current);
    Copy copy = new Copy(geometry(), bytes);
    for (Part<S> part : pages.parts) {
      S slot = Objects.requireNonNull(part.slot);
      List<byte[]> contents = new ArrayList<>();
      List<Long> numbers = new ArrayList<>();
      forEachPending(
          part,
          slot,
          (page, content) -> {
            numbers.add(page);
            contents.add(content.clone());
          });
      copy.contents.add(contents);
      copy.numbers.add(numbers);
      event.pages += numbers.size();
    }
    event.commit();
    return copy;
  }

  /** Writes what was copied. What the guest wrote meanwhile is dirty for the client. */
  @SuppressWarnings("ReferenceEquality") // the one that is open
  long write(String name, Copy copy) throws IOException {
    if (open != copy) {
      throw new IllegalStateException("this capture was written or closed");
    }
    Content content =
        writer -> {
          for (int i = 0; i < copy.contents.size(); i++) {
            writer.slot(copy.slots.get(i).slotId(), copy.slots.get(i).pageBytes());
            for (int j = 0; j < copy.numbers.get(i).size(); j++) {
              writer.page(copy.numbers.get(i).get(j), copy.contents.get(i).get(j));
            }
          }
        };
    StoreSaveEvent event = new StoreSaveEvent();
    event.begin();
    StoredState state = write(name, current, content, copy.machine, copy.slots, true);
    open = null;
    return saved(state, event);
  }

  @SuppressWarnings("ReferenceEquality") // the one that is open
  void forget(Copy copy) {
    if (open == copy) {
      open = null;
    }
  }

  /** Brings the guest to a state. */
  void restore(StoredState target) throws IOException {
    StoreRestoreEvent event = new StoreRestoreEvent();
    event.begin();
    pages.absorb();
    checkSlots(target);
    byte[] bytes = index.machine(target);
    StoreIndex.Way way = index.way(index.states.get(current), target);
    try {
      for (Part<S> part : pages.parts) {
        addChanged(way, part, part.pending);
      }
    } catch (StackOverflowError e) {
      pages.stackEnded = true;
      throw e;
    }
    places.moveTo(target.number);
    current = target.number; // what differs is pending
    event.pages = pages.write();
    machine.restore(bytes);
    event.state = current;
    event.commit();
  }

  /** Adds the pages that the states on a way have. */
  private void addChanged(StoreIndex.Way way, Part<S> part, PageSet set) {
    int id = ram.slotId(Objects.requireNonNull(part.slot));
    for (List<StoredState> states : List.of(way.up(), way.down())) {
      for (StoredState state : states) {
        StoredState.Pages changed = state.pages.get(id);
        for (int i = 0; changed != null && i < changed.count(); i++) {
          set.addRange(changed.page(i), 1);
        }
      }
    }
  }

  /** Hands out the pages in which the guest may differ from a state. */
  void forEachRunSince(StoredState since, RunConsumer<? super S, RuntimeException> consumer) {
    pages.absorb();
    checkSlots(since);
    StoreIndex.Way way = index.way(index.states.get(current), since);
    for (Part<S> part : pages.parts) {
      S slot = Objects.requireNonNull(part.slot);
      PageSet changed = new PageSet(part.pending.pageCount());
      changed.addAll(part.pending);
      addChanged(way, part, changed);
      changed.forEachRun((first, count) -> consumer.accept(slot, first, count));
    }
  }

  /** Deletes a state. */
  void delete(long number) throws IOException {
    StoredState state = listed(number);
    if (number == current) {
      throw new IllegalArgumentException(
          "state "
              + number
              + " is the current one, to which the next is saved: save or restore another first");
    }
    index.delete(state);
  }

  StoredState listed(long number) {
    StoredState state = index.states.get(number);
    if (state == null || state.deleted) {
      throw new IllegalArgumentException(
          "there is no state " + number + "; states: " + index.listed());
    }
    return state;
  }

  private void checkSlots(StoredState target) {
    Map<Integer, Geometry> there = StoreIndex.slots(target);
    for (Geometry slot : geometry()) {
      if (!slot.equals(there.remove(slot.slotId()))) {
        throw otherSlots(target);
      }
    }
    if (!there.isEmpty()) {
      throw otherSlots(target);
    }
  }

  private IllegalStateException otherSlots(StoredState target) {
    return new IllegalStateException(
        "the guest's slots are not those of state "
            + target.number
            + "; the guest's: "
            + geometry()
            + "; the state's: "
            + target.slots);
  }
}
