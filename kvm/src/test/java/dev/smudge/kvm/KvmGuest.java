package dev.smudge.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.kvmguest.PageWriter;
import dev.smudge.ring.HarvestedPages;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.BitSet;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/** A VM with a {@link PageWriter}, and slot 1 with the pages that it writes. */
final class KvmGuest implements AutoCloseable {
  static final int SLOT = 1;
  static final long ADDRESS = 0x4000_0000L;
  static final int PAGE = 4096;

  final Arena arena = Arena.ofShared();
  final Kvm kvm = Kvm.open();
  final KvmVm vm = kvm.createVm();
  final MemorySegment ram;
  final MemorySegment bitmap;
  final PageWriter program;
  final KvmVcpu vcpu;
  final int pages;

  /** What is to be switched on is switched on by {@code setUp}. */
  KvmGuest(int pages, Consumer<KvmVm> setUp) {
    this.pages = pages;
    MemorySegment own = arena.allocate(PageWriter.SIZE, PAGE);
    ram = arena.allocate((long) pages * PAGE, PAGE);
    bitmap = newBitmap();
    setUp.accept(vm);
    vm.setSlot(0, 0, 0, own);
    program = new PageWriter(own);
    vcpu = vm.createVcpu(0);
    X86Registers.read(vcpu)
        .startUser(PageWriter.PAGE_TABLE, PageWriter.ENTRY, program.orders())
        .write(vcpu);
  }

  MemorySegment newBitmap() {
    return arena.allocate((pages + 63) / 64 * 8L, 8);
  }

  KvmGuest log() {
    vm.setSlot(SLOT, KvmVm.LOG_DIRTY_PAGES, ADDRESS, ram);
    return this;
  }

  static long[] addresses(int... pages) {
    return IntStream.of(pages).mapToLong(page -> ADDRESS + (long) page * PAGE).toArray();
  }

  static int[] range(int from, int to) {
    return IntStream.range(from, to).toArray();
  }

  /** Writes the iteration to pages; the rings have room. */
  void write(long iteration, int... toPages) {
    order(iteration, toPages);
    assertEquals(RunLayout.EXIT_IO, vcpu.run());
    assertEquals(PageWriter.DONE_PORT, vcpu.ioPort());
  }

  void order(long iteration, int... toPages) {
    program.list(addresses(toPages));
    program.iteration(iteration);
  }

  long valueOf(int page) {
    return ram.get(ValueLayout.JAVA_LONG, (long) page * PAGE);
  }

  /** The slot's bitmap. */
  BitSet get() {
    bitmap.fill((byte) 0xAA);
    vm.getDirtyLog(SLOT, bitmap);
    return BitSet.valueOf(bitmap.toArray(ValueLayout.JAVA_LONG));
  }

  void clear(long first, long count, BitSet bits) {
    bitmap.fill((byte) 0);
    long[] words = bits.toLongArray();
    MemorySegment.copy(words, 0, bitmap, ValueLayout.JAVA_LONG, 0, words.length);
    vm.clearDirtyLog(SLOT, first, count, bitmap);
  }

  void clear(BitSet bits) {
    clear(0, pages, bits);
  }

  /** Switches the rings on, before there is a vCPU. */
  static Consumer<KvmVm> ring(int entries) {
    return vm -> vm.enableDirtyRing(entries);
  }

  /** Harvests the ring and resets it: its pages, in their order too. */
  BitSet reap(HarvestedPages harvest, List<Long> into) {
    int harvested = vcpu.ring().harvester().harvest(harvest);
    assertEquals(harvested, vm.resetDirtyRings());
    assertEquals(harvested, vcpu.ring().resetter().noteResets());
    BitSet set = new BitSet();
    harvest.forEachPage(
        () -> {},
        (slotId, page) -> {
          assertEquals(SLOT, slotId);
          into.add(page);
          set.set((int) page);
        });
    return set;
  }

  static BitSet set(int... pages) {
    BitSet set = new BitSet();
    IntStream.of(pages).forEach(set::set);
    return set;
  }

  @Override
  public void close() {
    vm.close();
    kvm.close();
    arena.close();
  }
}
