package dev.smudge.examples;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.sync.DirtyLogBuilder;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Locale;

/**
 * A program for a guest, and how to make the guest that runs it. The same program prints the same
 * lines on each channel whenever and wherever it runs: that is how a migration is checked.
 *
 * <p>To add a kind of guest: a class that implements this, and a line in {@link #of}.
 */
interface Program {
  /** {@return which kind of guest it is, as in {@code --guest}} */
  String kind();

  /** {@return everything else that {@link #of} needs to make the same program elsewhere} */
  byte[] config();

  /**
   * {@return what a migration says of it, for {@link #of(byte[])}: its kind, a line end, the rest}
   */
  default byte[] greeting() {
    byte[] config = config();
    byte[] kind = (kind() + "\n").getBytes(StandardCharsets.UTF_8);
    return ByteBuffer.allocate(kind.length + config.length).put(kind).put(config).array();
  }

  /**
   * Makes a program from the greeting of a migration.
   *
   * @param greeting what {@link #greeting} returned at the source
   * @return the program
   * @throws IllegalArgumentException if there is no such kind, or its configuration is wrong
   */
  static Program of(byte[] greeting) {
    int end = 0;
    while (end < greeting.length && greeting[end] != '\n') {
      end++;
    }
    String kind = new String(greeting, 0, end, StandardCharsets.UTF_8);
    return of(
        kind, Arrays.copyOfRange(greeting, Math.min(end + 1, greeting.length), greeting.length));
  }

  /**
   * Makes a program of a kind.
   *
   * @param kind what {@link #kind} returned at the source
   * @param config what {@link #config} returned there
   * @return the program
   * @throws IllegalArgumentException if there is no such kind, or its configuration is wrong
   */
  static Program of(String kind, byte[] config) {
    return switch (kind) {
      case NativeProgram.KIND -> NativeProgram.parse(config);
      case QuickJsProgram.KIND -> QuickJsProgram.parse(config);
      case KvmProgram.KIND -> KvmProgram.parse(config);
      default ->
          throw new IllegalArgumentException(
              String.format(Locale.ROOT, "no guest of kind '%s' here", kind));
    };
  }

  /**
   * Makes what the guest runs on.
   *
   * @param log options of its dirty log
   * @param ring entries of each vCPU's dirty ring, 0: bitmap mode
   * @return a machine without slots; here one of software
   */
  default Machine machine(DirtyLogBuilder log, int ring) {
    return Machine.software(log, ring);
  }

  /**
   * Adds the guest's slots. RAM costs only what is touched: a memory that grows gets a slot of its
   * largest size.
   *
   * @param memory a memory without slots
   */
  void addSlots(GuestMemory memory);

  /**
   * Makes a guest at the program's beginning. It may write RAM here already: it is tracked from
   * before this call on.
   *
   * @param machine as {@link #machine} made it, with the program's slots, all zeroes
   * @param output gets what it prints
   * @return the guest, not running yet
   */
  Guest boot(Machine machine, GuestOutput output);

  /**
   * Makes a guest that goes on where another was stopped. Must not write RAM before {@link
   * Guest#start}: RAM is the source's, and is compared after this call.
   *
   * @param machine as {@link #machine} made it, with RAM as it was at the stop
   * @param state what {@link Guest#state} returned there
   * @param output gets what it prints from here on
   * @return the guest, not running yet
   * @throws IllegalArgumentException if the state is none of this program's
   */
  Guest restore(Machine machine, byte[] state, GuestOutput output);

  /** {@return the same program without pauses, for what runs only to be compared} */
  default Program unpaced() {
    return this;
  }

  /**
   * Hands out all of RAM that the program can have written, told without the dirty log. Only this,
   * and what was sent, can be compared: reading all of a sparse slot of 1 TiB would commit it.
   *
   * @param memory the memory
   * @param sink gets the ranges; here all slots
   */
  default void footprint(GuestMemory memory, RangeConsumer sink) {
    for (GuestSlot slot : memory.slots()) {
      sink.accept(slot.guestAddress(), slot.size());
    }
  }

  /** Receives ranges of guest addresses. */
  @FunctionalInterface
  interface RangeConsumer {
    /**
     * One range.
     *
     * @param guestAddress its first byte
     * @param length bytes, at least 1, all inside one slot
     */
    void accept(long guestAddress, long length);
  }
}
