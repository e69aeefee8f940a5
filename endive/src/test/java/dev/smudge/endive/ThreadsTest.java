package dev.smudge.endive;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.function.IntConsumer;
import java.util.random.RandomGenerator;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import run.endive.runtime.Memory;
import run.endive.wasm.types.MemoryLimits;

/**
 * Threads of one guest, a facade each, while a client takes all the time: no update is lost in RAM,
 * and none on its way to the client.
 */
@Timeout(value = 600, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class ThreadsTest {
  private static final int PAGES = 64;
  private static final int BYTES = PAGES * Memory.PAGE_SIZE;
  private static final int COUNTERS = 1024; // each in its own page
  private static final int STRIDE = BYTES / COUNTERS;
  private static final int N = 200_001;
  private static final int ADDS = 400_000;
  private static final int EXCHANGES = 80_000;

  /** Runs them with a client beside; at the end the client's copy is the RAM. */
  @SafeVarargs
  private static void run(Guest guest, TrackedMemory memory, Consumer<TrackedMemory>... bodies) {
    guest.whileAClientTakes(collector -> guest.runAll(memory, bodies));
  }

  private static TrackedMemory shared(Guest guest) {
    return guest.linear(new MemoryLimits(PAGES, PAGES, true));
  }

  private static int counter(RandomGenerator random) {
    return random.nextInt(COUNTERS) * STRIDE;
  }

  @Test
  void adds_everyWidth_sumUp() {
    try (Guest guest = new Guest(PAGES)) {
      TrackedMemory memory = shared(guest);
      Consumer<TrackedMemory> adder =
          m -> {
            Random random = new Random(Thread.currentThread().threadId());
            for (int i = 0; i < ADDS; i++) {
              int at = counter(random);
              switch (i & 3) {
                case 0 -> m.atomicAddLong(at, 3);
                case 1 -> m.atomicAddInt(at + 8, 3);
                case 2 -> m.atomicAddShort(at + 14, (short) 3);
                default -> m.atomicAddByte(at + 19, (byte) 3);
              }
            }
          };
      run(guest, memory, adder, adder, adder);
      long[] sums = new long[4];
      for (int i = 0; i < COUNTERS; i++) {
        sums[0] += memory.readLong(i * STRIDE);
        sums[1] += memory.readInt(i * STRIDE + 8);
        sums[2] += memory.readU16(i * STRIDE + 14);
        sums[3] += memory.readU8(i * STRIDE + 19);
      }
      // 3 threads * ADDS / 4 * 3, over 1024 counters: about 879 each, so modulo 256 for the bytes
      long each = 3L * ADDS / 4 * 3;
      assertEquals(each, sums[0]);
      assertEquals(each, sums[1]);
      assertEquals(each, sums[2]);
      assertEquals(each & 0xff, sums[3] & 0xff);
    }
  }

  @Test
  void compareAndExchange_everyWidth_countsEachSuccess() {
    try (Guest guest = new Guest(PAGES)) {
      TrackedMemory memory = shared(guest);
      Consumer<TrackedMemory> counting =
          m -> {
            for (int i = 0; i < EXCHANGES; i++) {
              int at = (i & 7) * STRIDE;
              long seen = m.atomicReadLong(at);
              for (long was = ~seen; was != seen; ) {
                was = seen;
                seen = m.atomicCmpxchgLong(at, was, was + 1);
              }
              int seenInt = m.atomicReadInt(at + 8);
              for (int was = ~seenInt; was != seenInt; ) {
                was = seenInt;
                seenInt = m.atomicCmpxchgInt(at + 8, was, was + 1);
              }
              short seenShort = m.atomicReadShort(at + 14);
              for (short was = (short) ~seenShort; was != seenShort; ) {
                was = seenShort;
                seenShort = m.atomicCmpxchgShort(at + 14, was, (short) (was + 1));
              }
              byte seenByte = m.atomicReadByte(at + 13); // beside the short, in the same word
              for (byte was = (byte) ~seenByte; was != seenByte; ) {
                was = seenByte;
                seenByte = m.atomicCmpxchgByte(at + 13, was, (byte) (was + 1));
              }
            }
          };
      run(guest, memory, counting, counting, counting);
      int each = 3 * EXCHANGES / 8;
      for (int i = 0; i < 8; i++) {
        assertEquals(each, memory.readLong(i * STRIDE));
        assertEquals(each, memory.readInt(i * STRIDE + 8));
        assertEquals(each & 0xffff, memory.readU16(i * STRIDE + 14));
        assertEquals(each & 0xff, memory.readU8(i * STRIDE + 13));
      }
    }
  }

  @Test
  void mixedWidths_inOneWord_areAtomicToEachOther() {
    try (Guest guest = new Guest(PAGES)) {
      TrackedMemory memory = shared(guest);
      run(
          guest,
          memory,
          m -> repeat(i -> m.atomicAddInt(8, 1)),
          m -> repeat(i -> m.atomicAddShort(12, (short) 1)),
          m -> repeat(i -> m.atomicAddByte(15, (byte) 1)),
          m -> repeat(i -> m.atomicXorLong(8, 1L << 48)),
          m ->
              repeat(i -> {
                for (; ; ) {
                  long seen = m.atomicReadLong(8);
                  if (m.atomicCmpxchgLong(8, seen, seen ^ 1L << 49) == seen) {
                    return;
                  }
                }
              }),
          m -> repeat(i -> m.atomicOrByte(14, (byte) (i == N / 2 ? 0x80 : 0))),
          m -> repeat(i -> m.atomicAndByte(14, (byte) ~0x40)));
      long bits = (N & 1L) << 48 | (N & 1L) << 49 | 1L << 55;
      long expected = N | (N & 0xffffL) << 32 | bits | (N & 0xffL) << 56;
      assertEquals(Long.toHexString(expected), Long.toHexString(memory.readLong(8)));
    }
  }

  private static void repeat(IntConsumer body) {
    for (int i = 0; i < N; i++) {
      body.accept(i);
    }
  }

  @Test
  void pingPong_plainDataBetween_isSeenAndNoWakeUpIsLost() {
    try (Guest guest = new Guest(PAGES)) {
      TrackedMemory memory = shared(guest);
      int rounds = 3_000;
      run(guest, memory, m -> pingPong(m, 0, rounds), m -> pingPong(m, 1, rounds));
      assertEquals(2 * rounds, memory.readInt(BYTES - 4));
    }
  }

  /** Turns are taken through an int at 64; the data in the last int is plain. */
  private static void pingPong(TrackedMemory memory, int me, int rounds) {
    for (int i = 0; i < rounds; i++) {
      while (memory.atomicReadInt(64) != me) {
        memory.atomicWait(64, 1 - me, -1);
      }
      int data = memory.readInt(BYTES - 4);
      assertEquals(2 * i + me, data);
      memory.writeI32(BYTES - 4, data + 1);
      memory.atomicWriteInt(64, 1 - me);
      memory.atomicNotify(64, 1);
    }
  }

  @Test
  void notifications_moreWaitersThanTurns_noneIsLost() {
    try (Guest guest = new Guest(PAGES)) {
      TrackedMemory memory = shared(guest);
      AtomicInteger woken = new AtomicInteger();
      AtomicInteger counted = new AtomicInteger();
      int wakes = 2_000;
      Consumer<TrackedMemory> waiter =
          m -> {
            while (m.atomicReadInt(0) == 0) {
              if (m.atomicWait(0, 0, -1) == WaitQueues.WOKEN) {
                woken.incrementAndGet();
              }
            }
          };
      run(
          guest,
          memory,
          waiter,
          waiter,
          waiter,
          m -> {
            for (int i = 0; i < wakes; ) {
              int count = m.atomicNotify(0, 1);
              counted.addAndGet(count);
              i += count;
            }
            m.atomicWriteInt(0, 1);
            counted.addAndGet(m.atomicNotify(0, -1));
          });
      assertEquals(counted.get(), woken.get());
    }
  }

  /**
   * Few writes for each take, so that most pages are written once between two: a page that is not
   * marked is not made good by the next write to it.
   */
  @RepeatedTest(3)
  void plainAndBulkWrites_whileAClientTakes_copyIsEqual() {
    try (Guest guest = new Guest(PAGES)) {
      TrackedMemory memory = shared(guest);
      guest.whileAClientTakes(collector -> {
        Consumer<TrackedMemory> writer = m -> write(m, new Random(), collector);
        guest.runAll(memory, writer, writer, writer);
      });
    }
  }

  private static void write(TrackedMemory memory, Random random, Guest.Collector collector) {
    byte[] bytes = new byte[6_000];
    random.nextBytes(bytes);
    long takes = collector.takes();
    for (int i = 0; i < 10_000; i++) {
      while (collector.takes() < takes + i / 128) {
        memory.read(0); // a safepoint
      }
      int at = random.nextInt(BYTES - 8_000);
      switch (random.nextInt(64)) {
        case 0 -> memory.fill((byte) i, at, at + random.nextInt(5_000));
        case 1 -> memory.copy(at, random.nextInt(BYTES - 8_000), random.nextInt(5_000));
        case 2 -> memory.write(at, bytes, 7, random.nextInt(5_000));
        default -> {
          switch (i & 7) {
            case 0 -> memory.writeByte(at, (byte) i);
            case 1 -> memory.writeShort(at, (short) i);
            case 2 -> memory.writeI32(at, i);
            case 3 -> memory.writeLong(at, i);
            case 4 -> memory.writeF32(at, i);
            case 5 -> memory.writeF64(at, i);
            case 6 -> memory.atomicAddInt(at & -4, i);
            default -> memory.atomicXchgByte(at, (byte) i);
          }
        }
      }
    }
  }
}
