package dev.smudge.snapshot;

import dev.smudge.snapshot.StoredState.Geometry;
import dev.smudge.snapshot.stream.PageDamageException;
import dev.smudge.snapshot.stream.PageRun;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Objects;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The states of a store's file, and where their pages are. A page of a state is where the state has
 * it, or its nearest ancestor that has it; a page that none has is zero.
 */
final class StoreIndex implements AutoCloseable {
  private static final int SEARCH = 64 << 10;

  final StoreFile file;
  final StoredPages pages;
  NavigableMap<Long, StoredState> states = new TreeMap<>(); // one that is listed is changed no more
  long lastNumber = -1;

  StoreIndex(StoreFile file) {
    this.file = file;
    this.pages = new StoredPages(file);
  }

  /**
   * Reads the file from its beginning.
   *
   * @return how many bytes at its end are of a group that was not written to its end
   * @throws PageDamageException if something before that is damaged
   */
  long scan() throws IOException {
    file.checkHeader();
    long size = file.size();
    long counts = StoreLayout.HEADER_SIZE;
    file.countUpTo(counts);
    long at = counts;
    StoredState group = null;
    Map<Integer, Geometry> slots = Map.of(); // the group's
    while (at < size) {
      PageRun pages = group == null ? null : file.run(at);
      StoreFile.Entry record = pages == null ? file.record(at) : null;
      if (group != null && pages != null && at + pages.offset(pages.count()) <= size) {
        checkRun(group, slots.get(pages.slotId()), pages, at);
        addRun(group, pages, at);
        at += pages.offset(pages.count());
        continue;
      }
      StoredState next = record == null ? null : next(group, record, at);
      if (record == null || (next == null && !isEnd(record))) {
        checkTorn(at, counts, size);
        return size - counts;
      }
      at = record.end();
      slots = group == null && next != null ? slots(next) : slots;
      group = next;
      if (next == null) {
        counts = at;
        file.countUpTo(counts);
      }
    }
    return size - counts;
  }

  private static boolean isEnd(StoreFile.Entry record) {
    return record.type() == StoreLayout.END || record.type() == StoreLayout.DELETE;
  }

  /**
   * Takes a record; returns the group that is open after it, null if none is, or if it is wrong.
   */
  private @Nullable StoredState next(@Nullable StoredState group, StoreFile.Entry record, long at)
      throws IOException {
    ByteBuffer body = record.body();
    switch (record.type()) {
      case StoreLayout.BEGIN -> {
        StoredState begun = parseBegin(body, at);
        checkBegin(begun, at);
        return group == null ? begun : null;
      }
      case StoreLayout.MACHINE -> {
        if (group != null) {
          group.addMachine(at);
        }
        return group;
      }
      case StoreLayout.END -> {
        if (group == null
            || body.remaining() != StoreLayout.END_SIZE
            || body.getLong(0) != group.number
            || body.getLong(8) != group.begin) {
          throw damage(at, "the end of another state than the one that was begun");
        }
        group.end = record.end();
        lastNumber = group.number;
        states.put(group.number, group); // nobody else has this index yet
        return null;
      }
      case StoreLayout.DELETE -> {
        long number = body.remaining() == StoreLayout.DELETE_SIZE ? body.getLong(0) : -1;
        StoredState gone = states.get(number);
        if (group != null || (gone == null && number <= lastNumber)) {
          throw damage(at, "the deletion of a state that there is not");
        }
        if (gone == null) {
          lastNumber = number; // of a file without the state itself: its number is used
        } else {
          states = without(gone);
          gone.deleted = true;
        }
        return null;
      }
      default -> {
        return null;
      }
    }
  }

  private static StoredState parseBegin(ByteBuffer body, long at) throws PageDamageException {
    int size = body.remaining();
    int count =
        size < StoreLayout.BEGIN_FIXED ? 0 : body.getShort(StoreLayout.BEGIN_FIXED - 2) & 0xffff;
    if (size < StoreLayout.BEGIN_FIXED + count * StoreLayout.SLOT_SIZE) {
      throw damage(at, "the begin of a state, with " + count + " slots, has " + size + " bytes");
    }
    long number = body.getLong();
    long parent = body.getLong();
    long millis = body.getLong();
    body.getShort();
    List<Geometry> slots = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      slots.add(new Geometry(body.getInt(), body.getLong(), body.getInt()));
    }
    String name = StandardCharsets.UTF_8.decode(body).toString();
    return new StoredState(number, parent, millis, name, slots, at);
  }

  /** Checksums that are right do not make it a state of this store: a file may be forged. */
  private void checkBegin(StoredState begun, long at) throws PageDamageException {
    StoredState parent = states.get(begun.parent);
    if (begun.number <= lastNumber || (parent == null && begun.parent != -1)) {
      throw damage(
          at, "state " + begun.number + " after " + lastNumber + ", of state " + begun.parent);
    }
    Map<Integer, Geometry> slots = slots(begun);
    for (Geometry slot : begun.slots) {
      if (!slot.isPossible() || slots.size() < begun.slots.size()) {
        throw damage(at, "there is no such slot, or it comes twice: " + slot);
      }
    }
    for (Geometry slot : parent == null ? List.<Geometry>of() : parent.slots) {
      if (!slot.equals(slots.get(slot.slotId()))) {
        throw damage(at, "a slot is not as in the state's parent, " + slot);
      }
    }
  }

  /** The pages of a run are behind those before it, inside a slot of the state, and as long. */
  private static void checkRun(StoredState group, @Nullable Geometry slot, PageRun pages, long at)
      throws PageDamageException {
    StoredState.Pages before = group.pages.get(pages.slotId());
    long last = before == null ? -1 : before.page(before.count() - 1);
    if (slot == null
        || pages.pageBytes() != slot.pageBytes()
        || pages.page(0) <= last
        || pages.page(pages.count() - 1) >= slot.pageCount()) {
      throw damage(
          at,
          "a run of pages of "
              + pages.pageBytes()
              + " bytes, from page "
              + pages.page(0)
              + " to "
              + pages.page(pages.count() - 1)
              + " of slot "
              + pages.slotId()
              + ", after page "
              + last
              + " of "
              + slot);
    }
  }

  static ByteBuffer begin(StoredState state) {
    byte[] name = state.name.getBytes(StandardCharsets.UTF_8);
    int size = StoreLayout.BEGIN_FIXED + state.slots.size() * StoreLayout.SLOT_SIZE + name.length;
    ByteBuffer body = ByteBuffer.allocate(size);
    body.putLong(state.number).putLong(state.parent).putLong(state.millis);
    body.putShort((short) state.slots.size());
    for (Geometry slot : state.slots) {
      body.putInt(slot.slotId()).putLong(slot.pageCount()).putInt(slot.pageBytes());
    }
    return body.put(name).flip();
  }

  static void addRun(StoredState group, PageRun pages, long at) {
    for (int i = 0; i < pages.count(); i++) {
      group.add(pages.slotId(), pages.page(i), at << StoreLayout.KEY_SHIFT | i);
    }
  }

  /**
   * Accepts wrong bytes at a place if they are the end of a group that was being written; throws if
   * they are not.
   */
  private void checkTorn(long bad, long counts, long size) throws IOException {
    for (long at = bad; at < size; at += SEARCH) {
      ByteBuffer bytes = file.read(at, SEARCH + 3); // a type may be across the border
      for (int i = 0; i + 4 <= bytes.limit(); i++) {
        int type = bytes.getInt(i);
        if (type == StoreLayout.END || type == StoreLayout.DELETE) {
          StoreFile.Entry record = file.record(at + i);
          if (record != null && isWhole(record, counts, at + i)) {
            throw damage(bad, "there are whole states behind it");
          }
        }
      }
    }
  }

  private static boolean isWhole(StoreFile.Entry record, long counts, long at) {
    return record.type() == StoreLayout.DELETE
        || (record.body().remaining() == StoreLayout.END_SIZE
            && record.body().getLong(8) >= counts
            && record.body().getLong(8) < at);
  }

  static PageDamageException damage(long at, String what) {
    return new PageDamageException("the store is damaged at byte " + at + ": " + what);
  }

  /** {@return the number of the next state} */
  long nextNumber() throws PageDamageException {
    if (lastNumber == Long.MAX_VALUE) { // nobody gets there by saving
      throw new PageDamageException("the file says that all numbers of states are used");
    }
    return lastNumber + 1;
  }

  /** {@return the states, and one more} */
  NavigableMap<Long, StoredState> with(StoredState state) {
    NavigableMap<Long, StoredState> more = new TreeMap<>(states);
    more.put(state.number, state);
    return more;
  }

  /** What was written counts: the states are these from now on. */
  void commit(NavigableMap<Long, StoredState> all, long number) {
    long last = Math.max(lastNumber, number);
    file.commit();
    states = all; // from there to here nothing is called
    lastNumber = last;
  }

  /** Writes, as a group of its own, that a number is used up and belongs to no state. */
  void writeDeletion(long number) throws IOException {
    appendDeletion(number);
    commit(states, number);
  }

  private void appendDeletion(long number) throws IOException {
    file.beginGroup();
    file.append(StoreLayout.DELETE, ByteBuffer.allocate(8).putLong(number).flip());
    file.force();
  }

  /** Deletes a state: it is no longer listed, and leaves the index when no other state needs it. */
  void delete(StoredState state) throws IOException {
    NavigableMap<Long, StoredState> left =
        without(state); // first: a file is never deleted from twice
    appendDeletion(state.number);
    file.commit();
    state.deleted = true; // from there to here nothing is called
    states = left;
  }

  /** {@return the states that are still needed if one is deleted} */
  private NavigableMap<Long, StoredState> without(StoredState state) {
    NavigableMap<Long, StoredState> left = new TreeMap<>(states);
    StoredState gone = state;
    while (gone != null && (gone.deleted || gone.equals(state)) && !hasChildren(left, gone)) {
      left.remove(gone.number);
      gone = left.get(gone.parent);
    }
    return left;
  }

  private static boolean hasChildren(Map<Long, StoredState> states, StoredState state) {
    for (StoredState other : states.values()) {
      if (other.parent == state.number) {
        return true;
      }
    }
    return false;
  }

  /** {@return the numbers of the states that are listed} */
  List<Long> listed() {
    return states.values().stream()
        .filter(state -> !state.deleted)
        .map(state -> state.number)
        .toList();
  }

  /** {@return the nearest ancestor that is listed; -1: there is none} */
  long listedParent(StoredState of) {
    StoredState state = states.get(of.parent);
    while (state != null && state.deleted) {
      state = states.get(state.parent);
    }
    return state == null ? -1 : state.number;
  }

  /** {@return a state and its ancestors, itself first} */
  List<StoredState> line(long number) {
    List<StoredState> line = new ArrayList<>();
    for (StoredState state = states.get(number); state != null; state = states.get(state.parent)) {
      line.add(state);
    }
    return line;
  }

  /**
   * The way from a state to another, over their nearest common ancestor, which is not part of it:
   * the states up to there, and those down from there, the last one first.
   */
  record Way(List<StoredState> up, List<StoredState> down) {}

  /** {@return the way from a state to another; null: the one before all} */
  Way way(@Nullable StoredState from, @Nullable StoredState to) {
    Way way = new Way(new ArrayList<>(), new ArrayList<>());
    StoredState up = from;
    StoredState down = to;
    while (up != down) { // a parent has a smaller number
      if (down == null || (up != null && up.number > down.number)) {
        way.up.add(Objects.requireNonNull(up));
        up = states.get(up.parent);
      } else {
        way.down.add(down);
        down = states.get(down.parent);
      }
    }
    return way;
  }

  /** {@return the bytes of the machine} */
  byte[] machine(StoredState state) throws IOException {
    byte[] bytes = {};
    for (long at : state.machine) {
      StoreFile.Entry record = file.record(at);
      if (record == null) {
        throw damage(at, "the state of the machine, of state " + state.number);
      }
      int before = bytes.length;
      bytes = Arrays.copyOf(bytes, before + record.body().remaining());
      record.body().get(bytes, before, bytes.length - before);
    }
    return bytes;
  }

  /** {@return the geometry of a state's slots, by number} */
  static Map<Integer, Geometry> slots(StoredState state) {
    Map<Integer, Geometry> slots = new HashMap<>();
    state.slots.forEach(slot -> slots.put(slot.slotId(), slot));
    return slots;
  }

  /** Closes the file too. */
  @Override
  public void close() throws IOException {
    pages.close();
    file.close();
  }
}
