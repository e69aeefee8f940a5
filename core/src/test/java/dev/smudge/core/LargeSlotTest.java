package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.smudge.core.internal.ram.SparseRam;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.Map;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A slot far larger than the machine's memory. */
@Timeout(120)
class LargeSlotTest {
  private static final long TIB = 1L << 40;
  private static final Path MAPPINGS = Path.of("/proc/self/smaps");
  private static final Pattern MAPPING = Pattern.compile("^([0-9a-f]+)-([0-9a-f]+) ");

  /** Kilobytes of a slot's addresses that are in memory. */
  private static long resident(MemorySegment ram) throws IOException {
    long sum = 0;
    boolean ours = false;
    for (String line : Files.readAllLines(MAPPINGS)) {
      Matcher matcher = MAPPING.matcher(line);
      if (matcher.find()) {
        long from = Long.parseUnsignedLong(matcher.group(1), 16);
        long end = Long.parseUnsignedLong(matcher.group(2), 16);
        // What is unmapped may be another's by now, a thread's stack.
        boolean named = SparseRam.NATIVE || line.contains("smudge-");
        ours = named && from < ram.address() + ram.byteSize() && ram.address() < end;
      } else if (ours && line.startsWith("Rss:")) {
        sum += Long.parseLong(line.replaceAll("[^0-9]", ""));
      }
    }
    return sum;
  }

  @Test
  void addSlot_oneTebibyte_isZeroAndCommitsWhatIsTouched() throws IOException {
    assumeTrue(Files.isReadable(MAPPINGS), "needs /proc");
    Random random = TestRandom.of("one tebibyte");
    MemorySegment ram;
    try (GuestMemory memory = GuestMemory.create()) {
      GuestSlot slot = memory.addSlot(0, TIB, TIB);
      ram = slot.ram();
      assertEquals(TIB, slot.size());
      assertEquals(TIB / 4096, slot.pageCount());
      DirtyClient<GuestSlot> client = memory.client("test", InitialView.NONE_DIRTY);
      Vcpu vcpu = memory.addVcpu();
      for (int i = 0; i < 100; i++) {
        assertEquals(0, vcpu.getLong(TIB + random.nextLong(TIB - 7)));
      }
      assertEquals(0, vcpu.getLong(TIB));
      assertEquals(0, vcpu.getLong(2 * TIB - 8));
      vcpu.putLong(2 * TIB - 8, 1);
      vcpu.putByte(TIB + (1L << 39), (byte) 2);
      memory.device().putInt(TIB + 4094, 3); // two pages
      BitSet pages = new BitSet();
      pages.set(0, 2);
      pages.set(1 << 27);
      pages.set((1 << 28) - 1);
      assertEquals(Map.of(0, pages), Dirty.take(client));
      assertEquals(1, vcpu.getLong(2 * TIB - 8));
      long kilobytes = resident(ram);
      assertTrue(kilobytes > 0 && kilobytes < 64 * 1024, kilobytes + " KiB");
    }
    assertEquals(0, resident(ram));
  }

  @Test
  void gibibytePages_writesAroundBorders_likeAnyOther() {
    try (GuestMemory memory = GuestMemory.create()) {
      long base = 8 * (1L << 30);
      GuestSlot slot = memory.addSlot(0, base, 67 * (1L << 30), (1L << 30));
      Vcpu vcpu = memory.addVcpu();
      DirtyClient<GuestSlot> client = memory.client("test", InitialView.NONE_DIRTY);
      for (long page : new long[] {1, 63, 64, 66}) {
        for (Access access : Access.ALL) {
          for (long address = base + page * (1L << 30) - 9;
              address < base + page * (1L << 30) + 3;
              address++) {
            long bits = access.bits(0x0102_0304_0506_0708L * page);
            access.put().put(vcpu, address, bits);
            assertEquals(bits, access.get().get(vcpu, address));
            assertEquals(Dirty.pages(slot, address, access.width()), Dirty.take(client));
          }
        }
      }
      vcpu.putLong(base + 67 * (1L << 30) - 8, 1);
      memory.device().fill(base + 3 * (1L << 30) - 1, 2, (byte) 1);
      var pages = Dirty.pages(slot, base + 3 * (1L << 30) - 1, 2);
      Dirty.add(pages, slot, base + 67 * (1L << 30) - 8, 8);
      assertEquals(pages, Dirty.take(client));
    }
  }
}
