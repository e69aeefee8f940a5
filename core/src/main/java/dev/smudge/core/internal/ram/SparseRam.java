package dev.smudge.core.internal.ram;

import dev.smudge.linux.AnonymousMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * RAM of our own, committed as it is touched, and how long it lives. Whoever uses a part of it has
 * a {@link Pin}; a mapping without pins is unmapped, and without any pin at all the memory is free.
 *
 * <p><b>Where native access is granted</b>, vCPUs reach it by address, and a handle of a vCPU can
 * keep that address for ever: its thread has died, say, and the memory was closed. So the addresses
 * stay mapped until nobody can reach them any more, but not the memory behind them: an access by
 * address is an {@code InternalError} then; one through a segment says that it is closed.
 *
 * <p>Thread-safe.
 */
public final class SparseRam {
  private static final String POISON = "dev.smudge.poison";
  private static final byte POISON_BYTE = (byte) 0xdb;
  private static final long MOST_POISONED = 1L << 26;

  /** Whether the embedder has granted native access, so that asking for it prints no warning. */
  public static final boolean NATIVE = SparseRam.class.getModule().isNativeAccessEnabled();

  /** Whether there is memory without files. */
  private static final boolean ANONYMOUS = AnonymousMemory.isGranted();

  private final Set<SparseRam> all; // those that have mappings, of one memory
  private final RamSource source = ANONYMOUS ? new AnonymousRam() : new FileRam();
  private final List<RamMapping> mappings = new ArrayList<>();
  private final Set<Pin> pins = new HashSet<>();
  private long length; // of what was ever pinned
  private boolean closed;

  private volatile boolean unsettled; // some mapping has no pin any more, perhaps

  /** Makes RAM that is there with its first pin. */
  public SparseRam(Set<SparseRam> all) {
    this.all = all;
  }

  /** Keeps a part of the RAM mapped. */
  public final class Pin {
    private final long offset;
    private final RamMapping mapping;
    private final MemorySegment segment;
    private volatile boolean released;

    private Pin(long offset, long size, RamMapping mapping) {
      this.offset = offset;
      this.mapping = mapping;
      this.segment = mapping.segment().asSlice(offset, size);
    }

    /** {@return the part} */
    public MemorySegment segment() {
      return segment;
    }

    /** {@return its address, which stays mapped while this pin is reachable; 0: it does not} */
    public long address() {
      return mapping.addressesStay() ? segment.address() : 0;
    }

    /** Zeroes a part, and gives back the memory of its whole pages where that can be done. */
    public void zero(long from, long size) {
      source.clear(segment.asSlice(from, size));
    }

    /**
     * {@return the first offset from one on that was touched, perhaps; the size if there is none}
     */
    public long nextTouched(long from) {
      return source.nextTouched(segment, from);
    }

    /** Another pin of a part of this one's, while this one is there. */
    public Pin pin(long from, long size) {
      return SparseRam.this.pin(offset + from, size);
    }

    /**
     * Gives it up; without any pin its mapping goes. A second call does nothing. What an error
     * keeps this from is done by the next release of a pin of this RAM, or by {@link #settle}.
     */
    public void release() {
      released = true; // before anything that may fail
      // ORDER C3 volatile: after released. Pairs with settleAll, which clears it, and then looks at
      // the pins. If weaker: a release is in neither, and its mapping stays.
      unsettled = true;
      settle();
    }
  }

  /**
   * Pins a part; what is beyond the end is added, all zero.
   *
   * @throws java.io.UncheckedIOException if the system gives no memory
   * @throws IllegalStateException if the memory is closed
   */
  public synchronized Pin pin(long offset, long size) {
    if (closed) {
      throw new IllegalStateException("the guest memory is closed");
    }
    unsettled = true; // first: an error leaves a mapping without a pin
    RamMapping mapping = mappingFor(offset + size);
    Pin pin = new Pin(offset, size, mapping);
    length = Math.max(length, offset + size);
    boolean kept = false;
    try {
      pins.add(pin);
      kept = true;
    } finally {
      pin.released = !kept; // an error may come when it is in the set already
    }
    return pin;
  }

  private RamMapping mappingFor(long end) {
    for (RamMapping mapping : mappings) {
      if (mapping.segment().byteSize() >= end && mapping.isOpen()) {
        return mapping;
      }
    }
    all.add(this); // first: whoever closes the memory frees what an error leaves here
    Arena arena = Arena.ofShared();
    try {
      RamMapping mapping = source.map(end, arena);
      mappings.add(mapping);
      return mapping;
    } catch (RuntimeException | Error e) {
      arena.close();
      throw e;
    }
  }

  /** Zeroes a part that was used before, and by nobody now. */
  public void clear(Pin pin, RamRange fresh, long usedEnd) {
    long end = Math.min(usedEnd, fresh.end());
    if (fresh.from() < end) {
      source.clear(pin.segment.asSlice(fresh.from() - pin.offset, end - fresh.from()));
    }
  }

  /** {@return how long it is: what is beyond is zero when it comes} */
  public synchronized long length() {
    return length;
  }

  /** Whether a part is used by nobody. */
  public synchronized boolean isFree(long from, long end) {
    for (Pin pin : pins) {
      if (!pin.released && pin.offset < end && from < pin.offset + pin.segment.byteSize()) {
        return false;
      }
    }
    return true;
  }

  /** Unmaps what no pin keeps any more; costs nothing if there is no such mapping. */
  public void settle() {
    if (unsettled) {
      settleAll();
    }
  }

  private synchronized void settleAll() {
    boolean settled = false;
    unsettled = false; // C3
    try {
      settled = isSettled();
    } finally {
      if (!settled) {
        unsettled = true; // the next call goes on
      }
    }
  }

  private boolean isSettled() {
    boolean wasPinned = !pins.isEmpty();
    pins.removeIf(pin -> pin.released);
    if (Boolean.getBoolean(POISON)) {
      // It stays mapped, so that who uses it after this reads the poison.
      if (wasPinned && pins.isEmpty()) {
        mappings.forEach(this::poison);
      }
      return true;
    }
    for (int i = mappings.size() - 1; i >= 0; i--) {
      if (!isPinned(mappings.get(i))) {
        try {
          unmap(mappings.get(i));
        } catch (IllegalStateException e) {
          return false; // I/O into it is under way
        }
      }
    }
    if (mappings.isEmpty()) {
      free();
    }
    return true;
  }

  private void poison(RamMapping mapping) {
    mapping.segment().asSlice(0, Math.min(length, MOST_POISONED)).fill(POISON_BYTE);
  }

  /** Not counted: a count that an error has kept from a step would be wrong for ever. */
  private boolean isPinned(RamMapping mapping) {
    for (Pin pin : pins) {
      if (pin.mapping == mapping) {
        return true;
      }
    }
    return false;
  }

  private void unmap(RamMapping mapping) {
    mapping.close();
    mappings.remove(mapping);
  }

  private void free() {
    source.free();
    length = 0;
    all.remove(this); // last: it can be tried again
  }

  /**
   * Unmaps everything, pinned or not.
   *
   * @throws IllegalStateException if I/O into it is under way: it can be tried again
   */
  public synchronized void close() {
    closed = true;
    while (!mappings.isEmpty()) { // one by one: closing can be tried again
      unmap(mappings.getLast());
    }
    free();
  }
}
