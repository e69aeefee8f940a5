package dev.smudge.snapshot;

import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.pages.PagePort;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/** A guest of two chips of RAM and some registers, in Java arrays, with a natural stop. */
final class Console implements PagePort.OwnRam, MachineState {
  static final int PAGE = 256;
  static final int SIZE = 40 * 1024 + 100; // the last page is not whole

  final byte[][] ram = {new byte[SIZE], new byte[8 * PAGE]};
  byte[] registers = new byte[40];
  final DirtyLog log = DirtyLog.builder().buildStopped();
  final LogSlot[] slots = new LogSlot[2];

  /** Calls of the port and of the machine until one throws; negative: none does. */
  int untilFault = -1;

  /** Runs before each write of a page. */
  Runnable beforeWrite = () -> {};

  /** A fault. */
  static final class Fault extends RuntimeException {
    private static final long serialVersionUID = 1L;
  }

  /** The console's own port, but for what a test says otherwise. */
  static class Port implements PagePort.OwnRam {
    private final Console console;

    Port(Console console) {
      this.console = console;
    }

    @Override
    public void read(LogSlot slot, long pageIndex, byte[] page) {
      console.read(slot, pageIndex, page);
    }

    @Override
    public void write(LogSlot slot, long pageIndex, byte[] page) {
      console.write(slot, pageIndex, page);
    }
  }

  Console() {
    for (int i = 0; i < slots.length; i++) {
      slots[i] = log.addSlot(i, (ram[i].length + PAGE - 1) / PAGE, PAGE);
    }
  }

  /** What the guest is made of. */
  static final class Content {
    private final byte[] ram0;
    private final byte[] ram1;
    private final byte[] registers;

    Content(byte[] ram0, byte[] ram1, byte[] registers) {
      this.ram0 = ram0;
      this.ram1 = ram1;
      this.registers = registers;
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof Content content
          && Arrays.equals(ram0, content.ram0)
          && Arrays.equals(ram1, content.ram1)
          && Arrays.equals(registers, content.registers);
    }

    @Override
    public int hashCode() {
      return Arrays.hashCode(ram0);
    }

    @Override
    public String toString() {
      return Integer.toHexString(Arrays.hashCode(ram0))
          + " "
          + Integer.toHexString(Arrays.hashCode(ram1))
          + " "
          + Arrays.hashCode(registers);
    }
  }

  Content content() {
    return new Content(ram[0].clone(), ram[1].clone(), registers.clone());
  }

  /** {@return what RAM has} */
  List<ByteBuffer> ram() {
    return List.of(ByteBuffer.wrap(ram[0]), ByteBuffer.wrap(ram[1]));
  }

  /**
   * {@return what RAM had in a state, with the pages of now in which it differs, as a store says}
   */
  List<ByteBuffer> ramAfter(Content then, SnapshotStore<LogSlot> store, long since) {
    byte[][] copy = {then.ram0.clone(), then.ram1.clone()};
    store.forEachRunSince(
        since,
        (slot, first, count) -> {
          int from = (int) first * PAGE;
          int length = Math.min((int) count * PAGE, copy[slot.id()].length - from);
          System.arraycopy(ram[slot.id()], from, copy[slot.id()], from, length);
        });
    return List.of(ByteBuffer.wrap(copy[0]), ByteBuffer.wrap(copy[1]));
  }

  void poke(int chip, int address, byte value) {
    ram[chip][address] = value;
    log.mark(slots[chip], address, 1);
  }

  void fill(int chip, int address, int length, byte value) {
    Arrays.fill(ram[chip], address, address + length, value);
    log.mark(slots[chip], address, length);
  }

  /** Runs for a while. */
  void run(SplittableRandom random) {
    for (int i = random.nextInt(12); i > 0; i--) {
      int chip = random.nextInt(2);
      int address = random.nextInt(random.nextBoolean() ? 4 * PAGE : ram[chip].length);
      byte value = (byte) random.nextInt(3);
      if (random.nextInt(5) == 0) {
        int length = random.nextInt(Math.min(900, ram[chip].length - address));
        fill(chip, address, length, value);
      } else {
        poke(chip, address, value);
      }
    }
    if (random.nextInt(50) == 0) {
      registers = new byte[random.nextInt(3) == 0 ? random.nextInt(9000) : 40];
    }
    if (registers.length > 0 && random.nextInt(3) > 0) {
      registers[random.nextInt(registers.length)]++;
    }
  }

  private void fault() {
    if (untilFault >= 0 && untilFault-- == 0) {
      throw new Fault();
    }
  }

  @Override
  public void read(LogSlot slot, long pageIndex, byte[] page) {
    fault();
    byte[] from = ram[slot.id()];
    int at = (int) pageIndex * PAGE;
    System.arraycopy(from, at, page, 0, Math.min(PAGE, from.length - at));
  }

  @Override
  public void write(LogSlot slot, long pageIndex, byte[] page) {
    fault();
    beforeWrite.run();
    byte[] to = ram[slot.id()];
    int at = (int) pageIndex * PAGE;
    System.arraycopy(page, 0, to, at, Math.min(PAGE, to.length - at));
    fault(); // also after the write, and before its mark
  }

  @Override
  public byte[] save() {
    fault();
    return registers;
  }

  @Override
  public void restore(byte[] bytes) {
    fault();
    registers = bytes.clone();
  }
}
