package dev.smudge.examples;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.core.Vcpu;
import dev.smudge.snapshot.MachineState;
import dev.smudge.snapshot.Reset;
import dev.smudge.snapshot.Rewind;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Rewind and reset of a memory, between the blocks of its vCPU, beside a mirror that another client
 * keeps. By bitmap and by rings.
 */
@Timeout(120)
class RewindMemoryTest {
  private static final int STEPS = 2_000;
  private static final int LOW = 64 << 10;
  private static final int HIGH = 1 << 20;

  private static byte[] ram(GuestMemory memory) {
    byte[] all = new byte[2 * LOW];
    memory.device().read(0, MemorySegment.ofArray(all).asSlice(0, LOW));
    memory.device().read(HIGH, MemorySegment.ofArray(all).asSlice(LOW, LOW));
    return all;
  }

  private static void mirror(DirtyClient<GuestSlot> client, byte[] mirror) {
    try (DirtyBatch<GuestSlot> batch = client.take()) {
      batch.forEachRun((slot, first, count) -> {
        MemorySegment content = slot.pages(first, count);
        int at = slot.id() * LOW + (int) (first * slot.pageSize());
        MemorySegment.copy(content, ValueLayout.JAVA_BYTE, 0, mirror, at, (int) content.byteSize());
      });
      batch.commit();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 64})
  void rewindThenReset_random_equalFullCopies(int ring) {
    long seed = Long.getLong("smudge.seed", System.nanoTime());
    System.out.println("rewind of a memory: -Dsmudge.seed=" + seed);
    SplittableRandom random = new SplittableRandom(seed);
    DirtyLog log = ring == 0 ? DirtyLog.create() : DirtyLog.builder().ring(ring).build();
    try (GuestMemory memory = GuestMemory.over(log)) {
      memory.addSlot(0, 0, LOW);
      memory.addSlot(1, HIGH, LOW, 256);
      DirtyClient<GuestSlot> watcher = memory.client("watcher", InitialView.ALL_DIRTY);
      byte[] mirror = new byte[2 * LOW];
      TreeMap<Long, byte[]> states = new TreeMap<>();
      try (Vcpu vcpu = memory.addVcpu();
          Reset<GuestSlot> reset =
              Reset.toNow(
                  memory.client("reset", InitialView.ALL_DIRTY),
                  memory.pages(),
                  MachineState.NONE);
          Rewind<GuestSlot> rewind =
              Rewind.over(
                  memory.client("rewind", InitialView.ALL_DIRTY), memory.pages(), 1 << 18)) {
        states.put(rewind.save(), ram(memory));
        for (int step = 0; step < STEPS; step++) {
          for (int i = random.nextInt(20); i > 0; i--) {
            vcpu.putLong(random.nextInt(2) * HIGH + random.nextInt(LOW - 8), random.nextLong());
            vcpu.safepoint();
          }
          switch (random.nextInt(8)) {
            case 0 -> rewind.back();
            case 1 -> rewind.forward();
            case 2 -> rewind.jump(random.nextLong(rewind.newest() + 1));
            case 3 -> {
              reset.reset(); // dirty for the rewind
              assertArrayEquals(new byte[2 * LOW], ram(memory));
              continue;
            }
            default -> {
              byte[] all = ram(memory);
              long state = rewind.save();
              states.tailMap(state).clear();
              states.put(state, all);
            }
          }
          if (rewind.current() >= 0) {
            states.headMap(rewind.oldest()).clear();
          }
          mirror(watcher, mirror);
          assertArrayEquals(ram(memory), mirror, "step " + step);
        }
        for (boolean more = rewind.jump(rewind.newest()) >= 0; more; more = rewind.back()) {
          assertArrayEquals(states.get(rewind.current()), ram(memory), rewind.toString());
        }
        assertEquals(rewind.oldest(), rewind.current());
        mirror(watcher, mirror);
        assertArrayEquals(ram(memory), mirror);
      }
    }
  }
}
