package dev.smudge.core.internal.ram;

import dev.smudge.linux.AnonymousMemory;
import dev.smudge.sync.embed.EmbeddedLog;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/** RAM that is mapped. */
final class RamMapping {
  private final Arena arena;
  private final MemorySegment segment;
  private final @Nullable MemorySegment addresses;

  /**
   * Makes one.
   *
   * @param arena of the segment
   * @param stays whether the addresses stay mapped while this can be reached; else they go with the
   *     arena
   */
  @SuppressWarnings("restricted") // granted where they stay
  RamMapping(Arena arena, MemorySegment mapped, boolean stays) {
    this.arena = arena;
    this.addresses = stays ? mapped : null;
    this.segment = stays ? mapped.reinterpret(arena, null) : mapped;
  }

  MemorySegment segment() {
    return segment;
  }

  /** Whether accesses by address are safe as long as this can be reached. */
  boolean addressesStay() {
    return addresses != null;
  }

  /** Whether its segment can be used. */
  boolean isOpen() {
    return segment.scope().isAlive();
  }

  /** Frees the memory behind addresses that stay; others go with the arena. */
  void withdraw() {
    if (addresses != null) {
      AnonymousMemory.withdraw(addresses);
    }
  }

  /**
   * Its segment cannot be used from now on. A second call does nothing. Where the stack ends inside
   * the close of a shared arena, that is neither open nor closed, and another close of it never
   * returns (JDK 25, {@code SharedSession.justClose}): so there is no call without room for it.
   */
  void close() {
    if (isOpen()) {
      EmbeddedLog.checkStack();
      arena.close();
    }
  }
}
