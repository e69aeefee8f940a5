package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import java.util.BitSet;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** A full snapshot that did not reset the log (Firecracker 75e05ab11): docs/bugs.md row 20. */
@ParameterizedClass
@EnumSource(LogKind.class)
@Timeout(120)
class FullSnapshotTest {
  private final LogKind kind;

  FullSnapshotTest(LogKind kind) {
    this.kind = kind;
  }

  @Test
  void bug20_fullSnapshotThenKPages_nextDiffHasK() {
    Random random = TestRandom.of("full, then a diff");
    try (GuestMemory memory = kind.memory()) {
      memory.addSlot(0, 0, 200 * 4096);
      memory.addSlot(5, 1L << 40, 77 * 256, 256);
      Vcpu vcpu = memory.addVcpu();
      DeviceMemory device = memory.device();
      vcpu.fill(0, 200 * 4096, (byte) 1); // before anyone looks
      DirtyClient<GuestSlot> client = memory.client("snapshots", InitialView.ALL_DIRTY);
      for (int k = 0; k <= 277; k = k < 5 ? k + 1 : k + 34) {
        Map<Integer, BitSet> full = full(memory, client);
        assertEquals(200, full.getOrDefault(0, new BitSet()).cardinality());
        assertEquals(77, full.getOrDefault(5, new BitSet()).cardinality());
        Map<Integer, BitSet> written = new TreeMap<>();
        for (int pages = 0; pages < k; ) {
          GuestSlot slot = memory.slot(random.nextInt(277) < 200 ? 0 : 5);
          long page = random.nextLong(slot.pageCount());
          long address = slot.guestAddress() + page * slot.pageSize();
          if (pages % 2 == 0) {
            vcpu.putLong(address + random.nextLong(slot.pageSize() - 7), pages);
          } else {
            device.putByte(address + random.nextLong(slot.pageSize()), (byte) pages);
          }
          BitSet set = written.computeIfAbsent(slot.id(), id -> new BitSet());
          pages += set.get((int) page) ? 0 : 1;
          set.set((int) page);
        }
        assertEquals(written, Dirty.take(client), k + " pages");
        assertEquals(Map.of(), Dirty.take(client), "nothing since");
      }
    }
  }

  /** A full snapshot again: what is clean is in it too, and afterwards everything is clean. */
  private static Map<Integer, BitSet> full(GuestMemory memory, DirtyClient<GuestSlot> client) {
    DirtyClient<GuestSlot> all = memory.client("full", InitialView.ALL_DIRTY);
    Map<Integer, BitSet> full = Dirty.take(all);
    all.close();
    Dirty.take(client);
    return full;
  }
}
