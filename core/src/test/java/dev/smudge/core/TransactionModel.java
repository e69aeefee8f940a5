package dev.smudge.core;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * What a {@link GuestMemory} with transactions has to do, in plain collections, page by page. An
 * illegal step throws what the memory has to throw.
 */
@SuppressWarnings("ReferenceEquality") // slots and RAM are compared by identity
final class TransactionModel {
  static final int UNIT = 256; // all offsets and sizes are multiples of it

  /** Memory, shared by whatever slots are over it. */
  static final class Ram {
    final boolean own;
    byte[] bytes = new byte[0];

    Ram(boolean own) {
      this.own = own;
    }
  }

  /** A part of RAM that somebody uses. */
  record Pin(Ram ram, long from, long end) {}

  /** A page of a slot. */
  record Page(Slot slot, int index) {}

  /** The dirty pages of a slot for a client: which must be, and which may be besides. */
  static final class Pages {
    BitSet must = new BitSet();
    BitSet may = new BitSet();

    boolean agrees(BitSet actual) {
      BitSet missing = (BitSet) must.clone();
      missing.andNot(actual);
      BitSet more = (BitSet) actual.clone();
      more.andNot(must);
      more.andNot(may);
      return missing.isEmpty() && more.isEmpty();
    }
  }

  static final class Client {
    final Map<Slot, Pages> views = new HashMap<>();
    @Nullable Batch open;
    boolean closed;

    Pages view(Slot slot) {
      return views.computeIfAbsent(slot, s -> new Pages());
    }
  }

  /** What a client has taken, and not acknowledged. */
  record Batch(Client client, Map<Slot, BitSet> pages) {}

  /** What a remover has got. */
  static final class Lost {
    final Slot slot;
    final BitSet pages = new BitSet();
    final Pages dirty = new Pages();

    Lost(Slot slot) {
      this.slot = slot;
    }
  }

  record Async(Slot slot, long offset, int length) {}

  /** A slot, or a plan of one. */
  static final class Slot {
    final int id;
    final long address;
    final long size;
    final long pageSize;
    final Ram ram;
    final long segmentStart; // of the whole segment, in the RAM
    final long segmentEnd;
    final long offset;
    final BitSet fresh = new BitSet(); // units of the RAM that were nobody's
    final Map<Integer, List<Page>> went = new HashMap<>(); // where its pages are now
    @Nullable Lost lost;

    Slot(
        int id,
        long address,
        long size,
        long pageSize,
        Ram ram,
        long start,
        long end,
        long offset) {
      this.id = id;
      this.address = address;
      this.size = size;
      this.pageSize = pageSize;
      this.ram = ram;
      this.segmentStart = start;
      this.segmentEnd = end;
      this.offset = offset;
      boolean sizes = Long.bitCount(pageSize) == 1 && pageSize >= 256 && pageSize <= 1 << 30;
      check(id >= 0 && id < 32_764, "id");
      check(sizes && size > 0 && size % pageSize == 0 && address % pageSize == 0, "sizes");
      check(Long.compareUnsigned(address + size - 1, address) >= 0, "wraps round");
    }

    Slot part(int newId, long newAddress, long newSize, long newOffset) {
      Slot part =
          new Slot(newId, newAddress, newSize, pageSize, ram, segmentStart, segmentEnd, newOffset);
      part.fresh.or(fresh);
      part.fresh.and(units(newOffset, newOffset + newSize));
      return part;
    }

    int pageCount() {
      return (int) (size / pageSize);
    }

    boolean isOver(Slot other) {
      return ram == other.ram
          && segmentStart == other.segmentStart
          && segmentEnd == other.segmentEnd;
    }

    boolean isSame(Slot other) {
      return address == other.address
          && size == other.size
          && pageSize == other.pageSize
          && offset == other.offset
          && isOver(other);
    }

    boolean sharesWith(Slot other) {
      return ram == other.ram && offset < other.offset + other.size && other.offset < offset + size;
    }

    boolean contains(long at, long length) {
      long inside = at - address;
      return inside >= 0 && inside < size && length <= size - inside;
    }

    boolean overlaps(Slot other) {
      return Long.compareUnsigned(address, other.address + other.size - 1) <= 0
          && Long.compareUnsigned(other.address, address + size - 1) <= 0;
    }

    @Override
    public String toString() {
      return "slot " + id + " at " + Long.toHexString(address) + ", " + pageCount() + " pages";
    }
  }

  Map<Integer, Slot> slots = new TreeMap<>();
  final List<Client> clients = new ArrayList<>();
  final List<Batch> batches = new ArrayList<>();
  final List<Lost> handles = new ArrayList<>();
  final List<Async> asyncs = new ArrayList<>();

  static void check(boolean condition, String what) {
    if (!condition) {
      throw new IllegalArgumentException(what);
    }
  }

  static BitSet units(long from, long end) {
    BitSet units = new BitSet();
    units.set((int) (from / UNIT), (int) (end / UNIT));
    return units;
  }

  List<Pin> pins(Ram ram) {
    List<Slot> users = new ArrayList<>(slots.values());
    handles.forEach(lost -> users.add(lost.slot));
    batches.forEach(batch -> users.addAll(batch.pages.keySet()));
    List<Pin> pins = new ArrayList<>();
    users.forEach(slot -> pins.add(new Pin(slot.ram, slot.offset, slot.offset + slot.size)));
    for (Async async : asyncs) {
      long from = async.slot.offset + async.offset;
      long end = from + async.length + UNIT - 1;
      pins.add(new Pin(async.slot.ram, from / UNIT * UNIT, end / UNIT * UNIT));
    }
    pins.removeIf(pin -> pin.ram != ram);
    return pins;
  }

  /** Makes the change; what was removed, without what it has lost nothing of. */
  List<Lost> commit(ModelOverlay overlay) {
    overlay.check();
    List<Slot> leaving = new ArrayList<>(overlay.hidden().values());
    List<Slot> added = new ArrayList<>(overlay.plans().values());
    leaving.removeIf(slot -> isKept(slot, overlay.plans().get(slot.id)));
    added.removeIf(plan -> isKept(plan, overlay.hidden().get(plan.id)));
    Map<Integer, Slot> after = new TreeMap<>(slots);
    leaving.forEach(slot -> after.remove(slot.id));
    added.forEach(slot -> after.put(slot.id, slot));
    for (Slot slot : added) {
      for (Slot other : after.values()) {
        check(slot == other || !slot.sharesWith(other), slot + " shares RAM with " + other);
      }
    }
    for (Slot slot : added) {
      take(slot);
      carryInto(slot, leaving);
    }
    slots = after;
    mayMark(leaving, added);
    List<Lost> lost = new ArrayList<>();
    leaving.forEach(slot -> lose(slot, lost));
    handles.addAll(lost);
    return lost;
  }

  private static boolean isKept(Slot slot, @Nullable Slot other) {
    return other != null && slot.isSame(other);
  }

  /** New RAM is zero. */
  private static void take(Slot slot) {
    Ram ram = slot.ram;
    if (ram.own && ram.bytes.length < slot.offset + slot.size) {
      ram.bytes = Arrays.copyOf(ram.bytes, (int) (slot.offset + slot.size));
    }
    slot.fresh.stream()
        .forEach(unit -> Arrays.fill(ram.bytes, unit * UNIT, (unit + 1) * UNIT, (byte) 0));
    slot.fresh.clear();
  }

  private void carryInto(Slot slot, List<Slot> leaving) {
    for (int page = 0; page < slot.pageCount(); page++) {
      long at = slot.offset + page * slot.pageSize;
      boolean carried = false;
      for (Slot from : leaving) {
        long inside = at - from.offset;
        if (from.ram == slot.ram
            && from.pageSize == slot.pageSize
            && inside >= 0
            && inside < from.size
            && inside % from.pageSize == 0) {
          int old = (int) (inside / from.pageSize);
          from.went.computeIfAbsent(old, p -> new ArrayList<>()).add(new Page(slot, page));
          carried = true;
          for (Client client : clients) {
            carry(client.view(from), old, client.view(slot), page);
          }
        }
      }
      if (!carried) {
        int fresh = page;
        clients.forEach(client -> client.view(slot).must.set(fresh));
      }
    }
  }

  private static void carry(Pages from, int old, Pages to, int page) {
    to.must.set(page, to.must.get(page) || from.must.get(old));
    to.may.set(page, to.may.get(page) || from.may.get(old));
  }

  /** Memory that could not be carried may be marked, for a device that was under way. */
  private void mayMark(List<Slot> leaving, List<Slot> added) {
    for (Slot from : leaving) {
      for (Slot to : added) {
        boolean pages =
            from.pageSize == to.pageSize && (to.offset - from.offset) % to.pageSize == 0;
        if (from.sharesWith(to) && !pages) {
          slots.values().stream().filter(to::sharesWith).forEach(this::mayBeDirty);
        }
      }
    }
  }

  void mayBeDirty(Slot slot) {
    clients.forEach(client -> client.view(slot).may.set(0, slot.pageCount()));
  }

  private void lose(Slot slot, List<Lost> all) {
    Lost lost = new Lost(slot);
    lost.pages.set(0, slot.pageCount());
    slot.went.keySet().forEach(lost.pages::clear);
    if (!lost.pages.isEmpty()) {
      slot.lost = lost;
      all.add(lost);
      if (clients.isEmpty()) {
        lost.dirty.must.or(lost.pages);
      }
    }
    for (Client client : clients) {
      Pages view = client.view(slot);
      client.views.remove(slot);
      lost.dirty.must.or(view.must);
      lost.dirty.may.or(view.may);
    }
    lost.dirty.must.and(lost.pages);
  }

  // Writes and clients.

  @Nullable Slot find(long address, long length) {
    for (Slot slot : slots.values()) {
      if (slot.contains(address, length)) {
        return slot;
      }
    }
    return null;
  }

  /** Whether an access is all in slots, over borders too, but not over the end of all addresses. */
  boolean covers(long address, long length) {
    for (long at = address; at != address + length; at++) {
      if (find(at, 1) == null || (at == 0 && at != address)) {
        return false;
      }
    }
    return true;
  }

  void write(long address, byte[] bytes) {
    for (int i = 0; i < bytes.length; i++) {
      Slot slot = Objects.requireNonNull(find(address + i, 1));
      write(slot, address + i - slot.address, new byte[] {bytes[i]});
    }
  }

  private void write(Slot slot, long offset, byte[] bytes) {
    System.arraycopy(bytes, 0, slot.ram.bytes, (int) (slot.offset + offset), bytes.length);
    mark(slot, offset, bytes.length);
  }

  private void mark(Slot slot, long offset, long length) {
    if (length > 0) {
      int first = (int) (offset / slot.pageSize);
      int end = (int) ((offset + length - 1) / slot.pageSize) + 1;
      clients.forEach(client -> client.view(slot).must.set(first, end));
    }
  }

  /** Asynchronous I/O marks wherever its memory is by then. */
  void land(Async async, byte[] bytes) {
    asyncs.remove(async);
    Slot slot = async.slot;
    long from = slot.offset + async.offset;
    long end = from + bytes.length;
    System.arraycopy(bytes, 0, slot.ram.bytes, (int) from, bytes.length);
    if (slots.get(slot.id) == slot) {
      mark(slot, async.offset, bytes.length);
      return;
    }
    for (Slot now : slots.values()) {
      if (now.ram == slot.ram) {
        long start = Math.max(from, now.offset);
        mark(now, start - now.offset, Math.min(end, now.offset + now.size) - start);
      }
    }
    for (Lost lost : handles) {
      if (lost.slot.ram == slot.ram) {
        long start = Math.max(from, lost.slot.offset);
        landIn(lost, start, Math.min(end, lost.slot.offset + lost.slot.size));
      }
    }
  }

  private static void landIn(Lost lost, long start, long end) {
    for (long at = start; at < end; at++) {
      int page = (int) ((at - lost.slot.offset) / lost.slot.pageSize);
      lost.dirty.must.set(page, lost.dirty.must.get(page) || lost.pages.get(page));
    }
  }

  Batch take(Client client, Map<Slot, BitSet> actual) {
    Batch batch = new Batch(client, actual);
    client.views.clear();
    client.open = batch;
    batches.add(batch);
    return batch;
  }

  void giveBack(Batch batch) {
    batches.remove(batch);
    if (batch.client.open == batch && !batch.client.closed) {
      batch.client.open = null;
      batch.pages.forEach((slot, pages) ->
          pages.stream().forEach(page -> giveBack(batch.client, new Page(slot, page))));
    }
  }

  private void giveBack(Client client, Page page) {
    Slot slot = page.slot;
    if (slots.get(slot.id) == slot) {
      client.view(slot).must.set(page.index);
      return;
    }
    List<Page> went = slot.went.get(page.index);
    if (went != null) {
      went.forEach(next -> giveBack(client, next));
    } else if (slot.lost != null) {
      slot.lost.dirty.must.set(page.index);
    }
  }

  Client open(Collection<Slot> dirty) {
    Client client = new Client();
    dirty.forEach(slot -> client.view(slot).must.set(0, slot.pageCount()));
    clients.add(client);
    return client;
  }

  void close(Client client) {
    client.closed = true;
    clients.remove(client);
  }
}
