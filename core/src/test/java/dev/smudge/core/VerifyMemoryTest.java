package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.DirtyLogBuilder;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.verify.UnreportedWriteException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The verify mode over a memory, which knows what its pages contain. */
@Timeout(60)
class VerifyMemoryTest {
  private static void take(DirtyClient<GuestSlot> client) {
    try (DirtyBatch<GuestSlot> batch = client.take()) {
      batch.commit();
    }
  }

  @Test
  void close_afterARawStore_namesTheSlot() {
    GuestMemory memory = GuestMemory.over(DirtyLog.builder().verify().build());
    GuestSlot slot = memory.addSlot(2, 0x8000_0000L, 1 << 20);
    DirtyClient<GuestSlot> client = memory.client("saves", InitialView.ALL_DIRTY);
    take(client);
    slot.ram().set(ValueLayout.JAVA_INT, 0x5ffc, -1);
    UnreportedWriteException e = assertThrows(UnreportedWriteException.class, memory::close);
    assertEquals(5, e.pageIndex());
    assertEquals(0x5ffc, e.byteOffset());
    assertTrue(
        String.valueOf(e.getMessage()).startsWith("page 5 of GuestSlot[2, 0x80000000 + 0x100000"),
        e.getMessage());
    assertThrows(IllegalStateException.class, () -> memory.addSlot(3, 0, 4096), "it is closed");
  }

  @Test
  void property_verifiesEveryMemory() {
    System.setProperty("smudge.verify", "report");
    List<Throwable> reported = new ArrayList<>();
    try (GuestMemory memory =
        GuestMemory.over(DirtyLog.builder().errorHandler(reported::add).build())) {
      memory.addSlot(0, 0, 1 << 20);
      DirtyClient<GuestSlot> client = memory.client("saves", InitialView.NONE_DIRTY);
      memory.slot(0).ram().set(ValueLayout.JAVA_BYTE, 1, (byte) 1);
      client.close();
    } finally {
      System.clearProperty("smudge.verify");
    }
    assertEquals(1, reported.size(), reported.toString());
  }

  /** However long it takes: what it has written so far is not named before it has landed. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void asynchronousWriteThatLands_isNotNamed(boolean stopped) throws InterruptedException {
    List<Throwable> named = new ArrayList<>();
    DirtyLogBuilder options = DirtyLog.builder().verifyAndReport(named::add);
    try (GuestMemory memory =
        GuestMemory.over(stopped ? options.buildStopped() : options.build())) {
      memory.addSlot(0, 0, 1 << 20);
      DirtyClient<GuestSlot> client = memory.client("saves", InitialView.NONE_DIRTY);
      AsyncWrite write = memory.device().beginWrite(0x3000, 8192);
      write.target().set(ValueLayout.JAVA_BYTE, 5000, (byte) 1);
      take(client);
      long begin = System.nanoTime();
      while (System.nanoTime() - begin < 300_000_000) { // longer than any other writer may take
        take(client);
      }
      write.close();
      take(client);
      client.close();
    }
    assertEquals(List.of(), named);
  }

  @Test
  void writesOfVcpusDevicesAndClients_areNotNamed() {
    try (GuestMemory memory = GuestMemory.over(DirtyLog.builder().verify().build());
        Arena arena = Arena.ofConfined()) {
      memory.addSlot(0, 0, 1 << 20);
      MemorySegment bytes = arena.allocate(8192);
      bytes.fill((byte) 7);
      DirtyClient<GuestSlot> client = memory.client("saves", InitialView.NONE_DIRTY);
      try (Vcpu vcpu = memory.addVcpu()) {
        for (int i = 1; i < 20; i++) {
          vcpu.putLong(i * 1000L, i);
          memory.device().fill(i * 5000L, 5000, (byte) i);
          memory.device().writeAs(client, i * 8192L, bytes);
          memory.beginTransaction().move(0, i << 20).move(0, 0).commit();
          vcpu.offline();
          take(client);
        }
      }
    }
  }
}
