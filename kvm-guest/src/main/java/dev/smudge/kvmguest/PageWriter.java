package dev.smudge.kvmguest;

import static dev.smudge.kvmguest.X86Assembler.RAX;
import static dev.smudge.kvmguest.X86Assembler.RBP;
import static dev.smudge.kvmguest.X86Assembler.RCX;
import static dev.smudge.kvmguest.X86Assembler.RDI;
import static dev.smudge.kvmguest.X86Assembler.RDX;
import static dev.smudge.kvmguest.X86Assembler.RSI;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.util.Objects;

/**
 * A guest program that writes an iteration number to addresses which the host chooses, in rounds:
 * in each, once to every address of a list, in its order. It runs in long mode at privilege level
 * 3, since some hosts emulate privilege level 0, many instructions at a time. The host may change
 * its orders at any time: the iteration and the flags are read before each write, the rest before
 * each round.
 *
 * <p>Several vCPUs may run it, each with orders and a list of its own: {@link #ofVcpu}.
 *
 * <p>It needs one slot for itself, at guest address 0, {@value #SIZE} bytes:
 *
 * <pre>
 *  0x1000     0x2000     0x3000         0x7000  0x8000  0x10000      0x20000    0x100000
 * +----------+----------+--------------+-------+-------+------------+----------+
 * | level 4  | level 3  | 4 x level 2  |       | code  | 8 x orders | 8 x list |
 * +----------+----------+--------------+-------+-------+------------+----------+
 *
 * orders
 *  0           8         16      24              32         40
 * +-----------+---------+-------+---------------+----------+----------+
 * | iteration | entries | flags | list address  | rounds   | digest   |
 * +-----------+---------+-------+---------------+----------+----------+
 *   u64 each
 *
 * flags   1 step: exit by STEP_PORT after each write
 *         2 endless: no exit by DONE_PORT after a round
 * rounds  the guest counts those that it has ended
 * digest  times 31, plus the word that a write replaced, for each write up to the last round's end
 * </pre>
 *
 * <p>The tables map the lower 4 GiB to themselves, in pages of 2 MiB, as accessed and dirty: so the
 * processor never writes to them.
 */
public final class PageWriter {
  /** Bytes of the slot at guest address 0. */
  public static final int SIZE = 0x10_0000;

  /** Guest address of the top page table. */
  public static final long PAGE_TABLE = 0x1000;

  /** Guest address of the first instruction. */
  public static final long ENTRY = 0x8000;

  /** Most vCPUs. */
  public static final int MAX_VCPUS = 8;

  /** Most entries of the list of a vCPU. */
  public static final int MAX_ENTRIES = (SIZE - 0x2_0000) / MAX_VCPUS / Long.BYTES;

  /** The port of the exit after a write. */
  public static final int STEP_PORT = 0x10;

  /** The port of the exit after a round. */
  public static final int DONE_PORT = 0x11;

  private static final long ORDERS = 0x1_0000;
  private static final long ORDERS_SIZE = 0x1000; // no two vCPUs write to one page
  private static final long LIST = 0x2_0000;
  private static final int ITERATION = 0;
  private static final int ENTRIES = 8;
  private static final int FLAGS = 16;
  private static final int LIST_ADDRESS = 24;
  private static final int ROUNDS = 32;
  private static final int DIGEST = 40;
  private static final int DIGEST_FACTOR = 31;
  private static final int STEP = 1;
  private static final int ENDLESS = 2;

  private static final long LEVEL_3 = 0x2000;
  private static final long LEVEL_2 = 0x3000;
  private static final int TABLES = 4;
  private static final int TABLE_SIZE = 4096;
  private static final int TABLE_ENTRIES = 512;
  private static final int BIG_PAGE_SHIFT = 21;
  private static final long USER_TABLE = 0x27; // present, writable, user, accessed
  private static final long USER_BIG_PAGE = 0xE7; // and dirty, big

  private static final VarHandle LONGS = ValueLayout.JAVA_LONG.varHandle();

  private final MemorySegment memory;
  private final long orders;
  private final long list;

  /**
   * Writes the program into its slot. What is made has the orders of vCPU 0.
   *
   * @param memory RAM of the slot, {@value #SIZE} bytes at least
   */
  public PageWriter(MemorySegment memory) {
    this(memory.asSlice(0, SIZE), 0);
    writeTables();
    byte[] program = program();
    MemorySegment.copy(program, 0, memory, ValueLayout.JAVA_BYTE, ENTRY, program.length);
    for (int vcpu = 0; vcpu < MAX_VCPUS; vcpu++) {
      PageWriter its = ofVcpu(vcpu);
      put(its.orders + LIST_ADDRESS, its.list);
    }
  }

  private PageWriter(MemorySegment memory, int vcpu) {
    this.memory = memory;
    this.orders = ORDERS + vcpu * ORDERS_SIZE;
    this.list = LIST + (long) vcpu * MAX_ENTRIES * Long.BYTES;
  }

  /**
   * Finds the program where it is already. Writes nothing.
   *
   * @param memory RAM of the slot, as the program left it
   * @return the program, with the orders of vCPU 0
   */
  public static PageWriter in(MemorySegment memory) {
    return new PageWriter(memory.asSlice(0, SIZE), 0);
  }

  /**
   * Returns the orders of another vCPU that runs the same program.
   *
   * @param vcpu 0 to {@value #MAX_VCPUS} - 1
   * @return its own list, which is empty at first, iteration, mode and rounds
   * @throws IndexOutOfBoundsException if it is outside that
   */
  public PageWriter ofVcpu(int vcpu) {
    return new PageWriter(memory, Objects.checkIndex(vcpu, MAX_VCPUS));
  }

  /** {@return the guest address of the list; 8 bytes an entry} */
  public long listAddress() {
    return list;
  }

  /** {@return the guest address of the orders: what rdi has at the entry} */
  public long orders() {
    return orders;
  }

  private void writeTables() {
    put(PAGE_TABLE, LEVEL_3 | USER_TABLE);
    for (int table = 0; table < TABLES; table++) {
      put(LEVEL_3 + table * 8L, LEVEL_2 + (long) table * TABLE_SIZE | USER_TABLE);
    }
    for (long page = 0; page < TABLES * TABLE_ENTRIES; page++) {
      put(LEVEL_2 + page * 8, page << BIG_PAGE_SHIFT | USER_BIG_PAGE);
    }
  }

  private static byte[] program() {
    X86Assembler code = new X86Assembler();
    int round = code.here();
    code.load(RSI, RDI, LIST_ADDRESS); // rsi: next entry of the list
    code.load(RCX, RDI, ENTRIES); // rcx: entries that are left
    code.testZero(RCX);
    int empty = code.jumpIfZero();
    int next = code.here();
    code.load(RDX, RSI); // rdx: where to write
    code.load(RAX, RDI, ITERATION); // rax: what
    code.exchange(RDX, RAX); // one access, and it is a write
    code.multiply(RBP, DIGEST_FACTOR);
    code.addRegister(RBP, RAX); // rbp: the digest
    code.testBits(RDI, FLAGS, STEP);
    int fast = code.jumpIfZero();
    code.out(STEP_PORT);
    code.land(fast);
    code.add(RSI, Long.BYTES);
    code.decrement(RCX);
    code.jumpIfNotZero(next);
    code.land(empty);
    code.store(RDI, DIGEST, RBP);
    code.incrementMemory(RDI, ROUNDS);
    code.testBits(RDI, FLAGS, ENDLESS);
    code.jumpIfNotZero(round);
    code.out(DONE_PORT);
    code.jump(round);
    return code.code();
  }

  /**
   * Sets the list.
   *
   * @param addresses guest addresses below 4 GiB, {@value #MAX_ENTRIES} at most, where 8 bytes each
   *     are written
   * @throws IllegalArgumentException if there are more
   */
  public void list(long... addresses) {
    if (addresses.length > MAX_ENTRIES) {
      throw new IllegalArgumentException(
          addresses.length + " addresses: there is room for " + MAX_ENTRIES);
    }
    MemorySegment.copy(addresses, 0, memory, ValueLayout.JAVA_LONG, list, addresses.length);
    put(orders + ENTRIES, addresses.length);
  }

  /**
   * Sets what the guest writes from now on. Returns when the guest can see it.
   *
   * @param iteration the number
   */
  public void iteration(long iteration) {
    put(orders + ITERATION, iteration);
  }

  /**
   * Sets how the guest runs.
   *
   * @param step whether it exits by {@link #STEP_PORT} after each write
   * @param endless whether it goes on after a round, without an exit by {@link #DONE_PORT}
   */
  public void mode(boolean step, boolean endless) {
    put(orders + FLAGS, (step ? STEP : 0) | (endless ? ENDLESS : 0));
  }

  /**
   * {@return a digest of all that the guest has found where it then wrote, up to the end of its
   * last round}
   */
  public long digest() {
    return (long) LONGS.getVolatile(memory, orders + DIGEST);
  }

  /** {@return how many rounds the guest has ended} */
  public long rounds() {
    return (long) LONGS.getVolatile(memory, orders + ROUNDS);
  }

  /** Volatile: a guest that runs reads it. */
  private void put(long address, long value) {
    LONGS.setVolatile(memory, address, value);
  }
}
