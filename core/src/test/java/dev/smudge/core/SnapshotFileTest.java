package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * A slot that ends clean shifted the rest of a snapshot file (Firecracker 524c6d8fb): docs/bugs.md
 * row 23.
 */
@Timeout(120)
class SnapshotFileTest {
  private static final List<RamKind> KINDS = List.of(RamKind.values());

  /** One run of a snapshot: what is written to the file, at its place in it. */
  private record Run(int slot, long firstPage, long pageCount, List<Byte> content) {}

  private static List<Byte> bytes(MemorySegment segment) {
    List<Byte> bytes = new ArrayList<>();
    for (byte b : segment.toArray(java.lang.foreign.ValueLayout.JAVA_BYTE)) {
      bytes.add(b);
    }
    return bytes;
  }

  /** A page at a time, from what was written and from RAM. */
  private static List<Run> naive(GuestMemory memory, Map<Integer, BitSet> dirty) {
    List<Run> pages = new ArrayList<>();
    dirty.forEach((id, set) -> {
      GuestSlot slot = memory.slot(id);
      for (long page = 0; page < slot.pageCount(); page++) {
        if (set.get((int) page)) {
          long offset = page * slot.pageSize();
          pages.add(new Run(id, page, 1, bytes(slot.ram().asSlice(offset, slot.pageSize()))));
        }
      }
    });
    return pages;
  }

  /** As the library hands it out, cut into pages. */
  private static List<Run> exported(DirtyClient<GuestSlot> client) throws IOException {
    List<Run> pages = new ArrayList<>();
    long[] last = {-1, -1};
    try (DirtyBatch<GuestSlot> batch = client.take()) {
      batch.forEachRun((slot, first, count) -> {
        assertTrue(slot.id() != last[0] || first > last[1], "runs ascend, and do not touch");
        last[0] = slot.id();
        last[1] = first + count;
        assertEquals(count * slot.pageSize(), slot.pages(first, count).byteSize());
        for (long page = 0; page < count; page++) {
          long size = slot.pageSize();
          pages.add(
              new Run(
                  slot.id(),
                  first + page,
                  1,
                  bytes(slot.pages(first, count).asSlice(page * size, size))));
        }
      });
      batch.commit();
    }
    return pages;
  }

  @Test
  void bug23_randomSlotsAndDirtySets_exportIsTheNaiveWriters() throws IOException {
    Random random = TestRandom.of("exports");
    for (int guest = 0; guest < 40; guest++) {
      try (Arena arena = Arena.ofShared();
          GuestMemory memory = GuestMemory.create()) {
        DirtyClient<GuestSlot> client = memory.client("export", InitialView.NONE_DIRTY);
        addSlots(memory, arena, random);
        Dirty.take(client);
        Vcpu vcpu = memory.addVcpu();
        for (int round = 0; round < 6; round++) {
          Map<Integer, BitSet> dirty = new LinkedHashMap<>(); // slots as they were added
          for (GuestSlot slot : memory.slots()) {
            if (random.nextInt(3) != 0) { // else all of it is clean
              write(vcpu, slot, random, dirty);
            }
          }
          assertEquals(naive(memory, dirty), exported(client), "guest " + guest);
        }
      }
    }
  }

  private static void addSlots(GuestMemory memory, Arena arena, Random random) {
    long address = 1L << 32;
    List<Integer> ids = new ArrayList<>();
    for (int slots = 1 + random.nextInt(6); slots > 0; slots--) {
      int id = random.nextInt(300);
      if (!ids.contains(id)) {
        ids.add(id);
        long pageSize = 256L << random.nextInt(3);
        int size = (int) (pageSize * (1 + random.nextInt(80)));
        RamKind kind = KINDS.get(random.nextInt(KINDS.size()));
        kind.addTo(memory, arena, id, address, size, pageSize);
        address += random.nextBoolean() ? 1 << 20 : (size + 1023) & -1024;
      }
    }
  }

  /** Often up to the last page, often all but the last. */
  private static void write(Vcpu vcpu, GuestSlot slot, Random random, Map<Integer, BitSet> dirty) {
    long end = random.nextInt(3) == 0 ? slot.size() : slot.size() - slot.pageSize();
    for (int writes = random.nextInt(5); writes > 0 && end > 0; writes--) {
      long offset = random.nextInt((int) end);
      long length = random.nextBoolean() ? end - offset : 1 + random.nextInt((int) (end - offset));
      vcpu.fill(slot.guestAddress() + offset, length, (byte) random.nextInt());
      Dirty.add(dirty, slot, slot.guestAddress() + offset, length);
    }
  }
}
