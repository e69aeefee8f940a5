package dev.smudge.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.kvm.Kvm;
import dev.smudge.kvm.KvmVcpu;
import dev.smudge.kvm.KvmVm;
import dev.smudge.kvm.X86Registers;
import dev.smudge.kvmguest.PageWriter;
import dev.smudge.mmu.MmuTracker;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * A guest of KVM's that is tracked by the MMU instead of by KVM. Skipped, with a line that says so,
 * where there is no KVM or the MMU cannot; with {@code -Dsmudge.kvm=required} and {@code
 * -Dsmudge.mmu=required} it fails there.
 */
@Timeout(60)
class MmuKvmTest {
  private static final long ADDRESS = 0x4000_0000L;
  private static final long PAGE = 4096;

  private static void assume(String property, boolean there) {
    if (!there) {
      assertFalse("required".equals(System.getProperty(property)), property);
      System.out.println("A KVM guest over the MMU is skipped, for want of " + property);
      Assumptions.abort(property);
    }
  }

  @Test
  void writesOfKvmGuest_whoseSlotLiesOverTheRam_areFound() {
    assume("smudge.kvm", Files.isWritable(Path.of("/dev/kvm")));
    assume("smudge.mmu", MmuTracker.whyNot().isEmpty());
    try (Arena arena = Arena.ofShared();
        GuestMemory memory = GuestMemory.over(MmuTracker.log());
        Kvm kvm = Kvm.open();
        KvmVm vm = kvm.createVm()) {
      MemorySegment own = arena.allocate(PageWriter.SIZE, PAGE);
      MemorySegment ram = memory.addSlot(1, ADDRESS, 100 * PAGE).ram();
      vm.setSlot(0, 0, 0, own);
      vm.setSlot(1, 0, ADDRESS, ram); // KVM logs nothing
      PageWriter program = new PageWriter(own);
      try (KvmVcpu vcpu = vm.createVcpu(0)) {
        X86Registers.read(vcpu)
            .startUser(PageWriter.PAGE_TABLE, PageWriter.ENTRY, program.orders())
            .write(vcpu);
        DirtyClient<GuestSlot> client = memory.client("c", InitialView.NONE_DIRTY);
        assertEquals(Set.of(3L, 90L), run(vcpu, program, client, 1, 3, 90));
        assertEquals(Set.of(3L, 4L), run(vcpu, program, client, 2, 3, 4));
        assertEquals(Set.of(3L), run(vcpu, program, client, 3, 3));
        assertEquals(3, ram.get(ValueLayout.JAVA_LONG, 3 * PAGE));
        assertEquals(Set.of(), take(client));
      }
      vm.deleteSlot(1);
    }
  }

  private static Set<Long> run(
      KvmVcpu vcpu, PageWriter program, DirtyClient<GuestSlot> client, long value, long... pages) {
    long[] addresses = new long[pages.length];
    for (int i = 0; i < pages.length; i++) {
      addresses[i] = ADDRESS + pages[i] * PAGE;
    }
    program.list(addresses);
    program.iteration(value);
    vcpu.run();
    assertEquals(PageWriter.DONE_PORT, vcpu.ioPort());
    return take(client);
  }

  private static Set<Long> take(DirtyClient<GuestSlot> client) {
    Set<Long> pages = new TreeSet<>();
    try (DirtyBatch<GuestSlot> batch = client.take()) {
      batch.forEachRun(1, (slot, page, one) -> pages.add(page));
      batch.commit();
    }
    return pages;
  }
}
