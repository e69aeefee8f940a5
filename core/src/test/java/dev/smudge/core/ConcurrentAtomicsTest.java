package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Atomics of several vCPUs on the same bytes. */
@Timeout(120)
class ConcurrentAtomicsTest {
  private static final int VCPUS = 3;
  private static final int ROUNDS = 6000;

  static Stream<Arguments> kindsAndWidths() {
    return Arrays.stream(RamKind.values())
        .flatMap(kind ->
            Stream.of(1, 2, 4, 8)
                .filter(width -> width <= kind.atomicWidth)
                .map(width -> Arguments.of(kind, width)));
  }

  @ParameterizedTest
  @MethodSource("kindsAndWidths")
  void atomics_severalVcpus_sumUp(RamKind kind, int width) {
    try (Arena arena = Arena.ofShared();
        GuestMemory memory = GuestMemory.create()) {
      GuestSlot slot = kind.addTo(memory, arena, 0, 0, 4096, 256);
      DirtyClient<GuestSlot> client = memory.client("test", InitialView.NONE_DIRTY);
      List<Vcpu> vcpus = new ArrayList<>();
      for (int i = 0; i < VCPUS; i++) {
        vcpus.add(memory.addVcpu());
      }
      Threads.runAll(
          VCPUS,
          index -> {
            try (Vcpu vcpu = vcpus.get(index)) {
              work(vcpu, index, width);
            }
          });
      try (Vcpu reader = memory.addVcpu()) {
        VcpuAtomics little = reader.atomics();
        VcpuAtomics big = new VcpuAtomics(reader, true);
        long low = -1L >>> (64 - 8 * width);
        long sum = 0;
        for (int i = 0; i < VCPUS; i++) {
          sum += (long) ROUNDS * (i + 1);
        }
        assertEquals(sum & low, little.getVolatile(256, width), "getAndAdd");
        assertEquals(sum & low, big.getVolatile(512, width), "getAndAdd, big-endian");
        assertEquals((long) ROUNDS * VCPUS & low, little.getVolatile(768, width), "CAS");
        assertEquals(0, little.getVolatile(1024, width), "getAndXor, an even number of times");
        long bits = 0;
        for (int i = 0; i < VCPUS; i++) {
          bits |= 1L << i;
          assertEquals(
              (long) ROUNDS & low,
              little.getVolatile(1280 + (long) i * width, width),
              "one's own, beside the others'");
        }
        assertEquals(bits, big.getVolatile(1536, width), "getAndOr and getAndAnd");
      }
      assertEquals(Map.of(slot.id(), BitSet.valueOf(new long[] {0b1111110})), Dirty.take(client));
    }
  }

  private static void work(Vcpu vcpu, int index, int width) {
    VcpuAtomics little = vcpu.atomics();
    VcpuAtomics big = new VcpuAtomics(vcpu, true);
    for (int i = 0; i < ROUNDS; i++) {
      little.getAndAdd(256, width, index + 1);
      big.getAndAdd(512, width, index + 1);
      for (long seen = little.getVolatile(768, width); ; ) {
        long witness = little.compareAndExchange(768, width, seen, seen + 1);
        if (witness == seen) {
          break;
        }
        seen = witness;
      }
      little.getAndXor(1024, width, -1);
      little.getAndAdd(1280 + (long) index * width, width, 1);
      long bit = 1L << index;
      big.getAndAnd(1536, width, ~bit);
      big.getAndOr(1536, width, bit);
      vcpu.safepoint();
    }
  }
}
