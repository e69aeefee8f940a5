package consumer;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.core.Vcpu;
import dev.smudge.kvm.Kvm;
import dev.smudge.kvm.KvmException;
import dev.smudge.kvm.KvmTracker;
import dev.smudge.kvm.KvmVm;
import dev.smudge.mmu.MmuTracker;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;

/**
 * One page is written and found, by each tracker that this machine has; any argument leaves KVM
 * out.
 */
public final class Main {
  private Main() {}

  public static void main(String[] args) {
    marks(DirtyLog.create(), "software");
    MmuTracker.whyNot()
        .ifPresentOrElse(
            why -> System.out.println("mmu: " + why), () -> marks(MmuTracker.log(), "mmu"));
    if (args.length == 0) {
      kvm();
    }
  }

  private static void marks(DirtyLog log, String name) {
    try (GuestMemory memory = GuestMemory.over(log)) {
      memory.addSlot(0, 0x8000_0000L, 1 << 20);
      try (DirtyClient<GuestSlot> client = memory.client("display", InitialView.NONE_DIRTY);
          Vcpu vcpu = memory.addVcpu()) {
        vcpu.putLong(0x8000_1000L, 42);
        vcpu.offline();
        expectOne(client, name);
      }
    }
  }

  private static void kvm() {
    try (Kvm kvm = Kvm.open();
        KvmVm vm = kvm.createVm();
        GuestMemory memory = GuestMemory.over(KvmTracker.over(vm).log())) {
      memory.addSlot(0, 0, 1 << 20);
      try (DirtyClient<GuestSlot> client = memory.client("display", InitialView.NONE_DIRTY)) {
        memory.device().putLong(0x1000, 42);
        expectOne(client, "kvm");
      }
    } catch (KvmException | UnsupportedOperationException e) {
      System.out.println("kvm: " + e.getMessage());
    }
  }

  private static void expectOne(DirtyClient<GuestSlot> client, String tracker) {
    try (DirtyBatch<GuestSlot> batch = client.take()) {
      if (batch.pageCount() != 1) {
        throw new AssertionError(tracker + ": " + batch.pageCount() + " pages, not 1");
      }
      batch.commit();
    }
    System.out.println(tracker + ": found");
  }
}
