package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import java.io.IOException;
import java.util.Random;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Pages restored at a destination that a second migration missed (propolis #232): docs/bugs.md row
 * 25.
 */
@Timeout(120)
class SecondMigrationTest {
  enum Restore {
    DEVICE,
    ASYNC,
    RAW_AND_MARK,
    VCPU
  }

  private static GuestMemory guest() {
    GuestMemory memory = GuestMemory.create();
    memory.addSlot(0, 0, 90 * 4096);
    memory.addSlot(1, 1L << 33, 65 * 256, 256);
    return memory;
  }

  /** Rounds while the guest writes, then the last with the guest stopped. */
  private static void migrate(
      GuestMemory from,
      DirtyClient<GuestSlot> client,
      GuestMemory to,
      Restore restore,
      Random random)
      throws IOException {
    try (Vcpu source = from.addVcpu();
        Vcpu destination = to.addVcpu()) {
      for (int round = 0; round < 4; round++) {
        if (round == 3) {
          source.offline();
          from.seal();
        }
        try (DirtyBatch<GuestSlot> batch = client.take()) {
          batch.forEachRun((slot, first, count) -> {
            long address = slot.guestAddress() + first * slot.pageSize();
            switch (restore) {
              case DEVICE -> to.device().write(address, slot.pages(first, count));
              case VCPU -> destination.write(address, slot.pages(first, count));
              case ASYNC -> {
                try (AsyncWrite write =
                    to.device().beginWrite(address, slot.pages(first, count).byteSize())) {
                  write.target().copyFrom(slot.pages(first, count));
                }
              }
              case RAW_AND_MARK -> {
                GuestSlot at = to.slot(slot.id());
                at.ram()
                    .asSlice(first * at.pageSize(), slot.pages(first, count).byteSize())
                    .copyFrom(slot.pages(first, count));
                to.device().mark(address, slot.pages(first, count).byteSize());
              }
            }
            destination.offline(); // one thread, one vCPU
          });
          batch.commit();
        }
        for (int writes = 50; writes > 0 && round < 3; writes--) {
          source.putLong(random.nextInt(89 * 4096), random.nextLong());
          source.fill((1L << 33) + random.nextInt(60 * 256), 300, (byte) writes);
        }
        source.offline();
      }
    }
  }

  private static void assertSame(GuestMemory expected, GuestMemory actual, String when) {
    for (GuestSlot slot : expected.slots()) {
      assertEquals(-1, slot.ram().mismatch(actual.slot(slot.id()).ram()), when + ": " + slot);
    }
  }

  @ParameterizedTest
  @EnumSource
  void bug25_migratedTwice_isTheSame(Restore restore) throws IOException {
    Random random = TestRandom.of("migrated twice");
    try (GuestMemory first = guest();
        GuestMemory second = guest();
        GuestMemory third = guest()) {
      // Started before the restore: what is restored has to be news to it.
      DirtyClient<GuestSlot> again = second.client("second migration", InitialView.NONE_DIRTY);
      first.device().fill(0, 90 * 4096, (byte) 7);
      first.device().putLong(12345, 6);
      migrate(first, first.client("migration", InitialView.ALL_DIRTY), second, restore, random);
      assertSame(first, second, "after the first");
      migrate(second, again, third, restore, random);
      assertSame(second, third, "after the second");
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void bug25_clientOfTheDestinationIsNew_seesAll(boolean writtenSince) throws IOException {
    Random random = TestRandom.of("migrated twice, a new client");
    try (GuestMemory first = guest();
        GuestMemory second = guest();
        GuestMemory third = guest()) {
      first.device().fill(0, 90 * 4096, (byte) 7);
      migrate(first, first.client("m", InitialView.ALL_DIRTY), second, Restore.DEVICE, random);
      if (writtenSince) {
        second.device().putInt(77, 77);
      }
      DirtyClient<GuestSlot> again = second.client("second migration", InitialView.ALL_DIRTY);
      migrate(second, again, third, Restore.DEVICE, random);
      assertSame(second, third, "after the second");
    }
  }
}
