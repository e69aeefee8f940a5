package dev.smudge.benchmarks;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.SlotTransaction;
import dev.smudge.core.Vcpu;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.NavigableMap;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.concurrent.locks.StampedLock;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * A store by guest address, with one slot and with all that there may be: on and on in one slot
 * ({@code vcpu}), in two in turn ({@code vcpuInTurn}), and each in another one ({@code
 * vcpuElsewhere}). The losers look the slot up in a map each time: under a lock, or in one that is
 * copied on a write.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 4, time = 300, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 6, time = 300, timeUnit = TimeUnit.MILLISECONDS)
@Fork(1)
@State(Scope.Thread)
public class SlotLookupBenchmark {
  private static final int PAGE = 4096;

  /** How many there are. */
  @Param({"1", "2", "32764"})
  public int slots;

  private Arena arena;
  private GuestMemory memory;
  private Vcpu vcpu;
  private long near; // address in the slot in the middle
  private long at;
  private long far;

  private final ReadWriteLock readWrite = new ReentrantReadWriteLock();
  private final ReadWriteLock stamped = new StampedLock().asReadWriteLock();
  private final TreeMap<Long, MemorySegment> locked = new TreeMap<>();
  private volatile TreeMap<Long, MemorySegment> copied = locked;

  /** Makes the slots, two pages apart. */
  @Setup
  public void open() {
    arena = Arena.ofShared();
    memory = GuestMemory.create();
    MemorySegment ram = arena.allocate((long) slots * PAGE, PAGE);
    try (SlotTransaction transaction = memory.beginTransaction()) {
      for (int id = 0; id < slots; id++) {
        MemorySegment part = ram.asSlice((long) id * PAGE, PAGE);
        transaction.add(id, addressOf(id), part, PAGE);
        locked.put(addressOf(id), part);
      }
      transaction.commit();
    }
    vcpu = memory.addVcpu();
    near = addressOf(slots / 2);
  }

  private static long addressOf(long id) {
    return 2 * PAGE * id;
  }

  /** Closes all. */
  @TearDown
  public void close() {
    vcpu.close();
    memory.close();
    arena.close();
  }

  private long next() {
    at = (at + 8) & (PAGE - 8);
    return near + at;
  }

  private long nextElsewhere() {
    far = (far + 7919) % slots;
    return addressOf(far) + (far & (PAGE - 8));
  }

  /** In one slot. */
  @Benchmark
  public void vcpu() {
    vcpu.putLong(next(), 42);
  }

  private long nextInTurn() {
    long address = next();
    return (at & 8) == 0 ? address : address - near + addressOf(0);
  }

  /** In two slots in turn, if there are as many. */
  @Benchmark
  public void vcpuInTurn() {
    vcpu.putLong(nextInTurn(), 42);
  }

  /**
   * A load, in one slot.
   *
   * @return what was there
   */
  @Benchmark
  public long vcpuLoad() {
    return vcpu.getLong(next());
  }

  /**
   * Loads in two slots in turn, if there are as many.
   *
   * @return what was there
   */
  @Benchmark
  public long vcpuLoadInTurn() {
    return vcpu.getLong(nextInTurn());
  }

  /** In another slot each time. */
  @Benchmark
  public void vcpuElsewhere() {
    vcpu.putLong(nextElsewhere(), 42);
  }

  private void store(NavigableMap<Long, MemorySegment> map, long address) {
    var slot = map.floorEntry(address);
    slot.getValue().set(ValueLayout.JAVA_LONG_UNALIGNED, address - slot.getKey(), 42);
  }

  private void store(ReadWriteLock lock, long address) {
    lock.readLock().lock();
    try {
      store(locked, address);
    } finally {
      lock.readLock().unlock();
    }
  }

  /** In one slot; not tracked. */
  @Benchmark
  public void stampedLock() {
    store(stamped, next());
  }

  /** In another slot each time; not tracked. */
  @Benchmark
  public void stampedLockElsewhere() {
    store(stamped, nextElsewhere());
  }

  /** In one slot; not tracked. */
  @Benchmark
  public void readWriteLock() {
    store(readWrite, next());
  }

  /** In one slot; not tracked. */
  @Benchmark
  public void copyOnWrite() {
    store(copied, next());
  }

  /** In another slot each time; not tracked. */
  @Benchmark
  public void copyOnWriteElsewhere() {
    store(copied, nextElsewhere());
  }
}
