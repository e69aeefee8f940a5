package dev.smudge.snapshot;

import dev.smudge.bitmap.PageSet;
import dev.smudge.snapshot.StoredState.Geometry;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.PagePort;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
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

  private final PagePort<S> ram;
  private final MachineState machine;
  private @Nullable Copy open; // a capture that was not written

  /** What a capture has copied. */
  static final class Copy {
    private final List<byte[][]> contents = new ArrayList<>(); // per part
    private final List<long[]> numbers = new ArrayList<>();
    private final List<Geometry> slots;
    private final byte[] machine;

    private Copy(List<Geometry> slots, byte[] machine) {
      this.slots = slots;
      this.machine = machine;
    }
  }

  StoredGuest(StoreIndex index, DirtyClient<S> client, PagePort<S> ram, MachineState machine) {
    this.index = index;
    this.ram = ram;
    this.machine = machine;
    this.pages = new GuestPages<>(client, ram, (slotId, count, bytes) -> new Table(slotId, bytes));
  }

  /** The pages of a slot in the current state. */
  private final class Table extends PageTable {
    private final int slotId;
    private final byte[] page;

    Table(int slotId, int pageBytes) {
      this.slotId = slotId;
      this.page = new byte[pageBytes];
    }

    @Override
    byte @Nullable [] get(long number) {
      long place = index.find(current, slotId, number);
      if (place < 0) {
        return null;
      }
      try {
        index.read(place, page);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      return page;
    }
  }

  private byte[] machineBytes() {
    return Objects.requireNonNull(machine.save(), "state of the machine").clone();
  }

  void enter() {
    pages.enter();
    if (open != null) {
      pages.busy = false;
      throw new IllegalStateException("a capture is open: write it or close it first");
    }
  }

  /** Receives pages. */
  private interface PageConsumer {
    void accept(long page) throws IOException;
  }

  private static void forEach(PageSet set, PageConsumer consumer) throws IOException {
    long end = set.pageCount();
    for (long page = set.nextPage(0); page >= 0; page = set.nextPage(page)) {
      for (long past = set.endOfRun(page, end); page < past; page++) {
        consumer.accept(page);
      }
    }
  }

  /** Puts the pages of a state into a writer. */
  interface Content {
    void writeTo(StateWriter writer) throws IOException;
  }

  StoredState write(String name, long parent, Content content, byte[] bytes, List<Geometry> slots)
      throws IOException {
    StoreFile file = index.file;
    file.beginGroup();
    StoredState state =
        new StoredState(
            index.lastNumber + 1, parent, System.currentTimeMillis(), name, slots, file.end());
    try (StateWriter writer = StateWriter.begin(index, state)) {
      content.writeTo(writer);
      writer.finish(bytes);
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

  /** Saves what is dirty, and returns the number. */
  long save(String name) throws IOException {
    pages.absorb();
    byte[] bytes = machineBytes();
    Content content =
        writer -> {
          for (Part<S> part : pages.parts) {
            S slot = Objects.requireNonNull(part.slot);
            writer.slot(ram.slotId(slot), part.pageBytes);
            forEach(part.pending, page -> writer.page(page, pages.read(part, slot, page)));
          }
        };
    return saved(write(name, current, content, bytes, geometry()));
  }

  private long saved(StoredState state) {
    current = state.number;
    for (Part<S> part : pages.parts) {
      part.pending.clear();
    }
    return state.number;
  }

  /** Copies what is dirty. */
  Copy capture() {
    pages.absorb();
    Copy copy = new Copy(geometry(), machineBytes());
    for (Part<S> part : pages.parts) {
      S slot = Objects.requireNonNull(part.slot);
      int count = Math.toIntExact(part.pending.size());
      byte[][] contents = new byte[count][];
      long[] numbers = new long[count];
      int at = 0;
      long end = part.pending.pageCount();
      for (long page = part.pending.nextPage(0); page >= 0; page = part.pending.nextPage(page)) {
        for (long past = part.pending.endOfRun(page, end); page < past; page++) {
          numbers[at] = page;
          contents[at++] = pages.read(part, slot, page).clone();
        }
      }
      copy.contents.add(contents);
      copy.numbers.add(numbers);
    }
    open = copy;
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
            for (int j = 0; j < copy.numbers.get(i).length; j++) {
              writer.page(copy.numbers.get(i)[j], copy.contents.get(i)[j]);
            }
          }
        };
    long number = saved(write(name, current, content, copy.machine, copy.slots));
    open = null;
    return number;
  }

  @SuppressWarnings("ReferenceEquality") // the one that is open
  void forget(Copy copy) {
    if (open == copy) {
      open = null;
    }
  }

  /** Brings the guest to a state. */
  void restore(StoredState target) throws IOException {
    pages.absorb();
    checkSlots(target);
    byte[] bytes = index.machine(target);
    for (StoredState state : index.between(current, target.number)) {
      for (Part<S> part : pages.parts) {
        addPending(part, state.pages.get(ram.slotId(Objects.requireNonNull(part.slot))));
      }
    }
    current = target.number; // what differs is pending
    pages.write();
    machine.restore(bytes);
  }

  private static void addPending(Part<?> part, StoredState.@Nullable Pages changed) {
    for (int i = 0; changed != null && i < changed.count(); i++) {
      part.pending.addRange(changed.page(i), 1);
    }
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
