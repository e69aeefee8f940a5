package dev.smudge.mmu;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.core.Vcpu;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.tracker.Tracker;
import dev.smudge.testkit.GuestMachine;
import java.lang.foreign.ValueLayout;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/** A guest whose writes the MMU finds. */
final class MmuMachine extends GuestMachine {
  private final @Nullable Vcpu vcpu; // null: it writes to RAM, and nobody is told

  private MmuMachine(GuestMemory memory, boolean raw) {
    super(memory, false);
    vcpu = raw ? null : memory.addVcpu();
  }

  private static GuestMemory memory(UnaryOperator<Tracker> interceptor) {
    return GuestMemory.over(MmuTracker.log(DirtyLog.builder().interceptTracker(interceptor)));
  }

  /** Makes a machine whose vCPU writes through the accessors. */
  static MmuMachine withVcpu(UnaryOperator<Tracker> interceptor) {
    return new MmuMachine(memory(interceptor), false);
  }

  /** Makes a machine whose guest stores to RAM by itself. */
  static MmuMachine raw(UnaryOperator<Tracker> interceptor) {
    return new MmuMachine(memory(interceptor), true);
  }

  @Override
  public void write(long value, long... addresses) {
    for (long address : addresses) {
      if (vcpu != null) {
        vcpu.putLong(address, value);
        vcpu.safepoint();
      } else {
        GuestSlot slot = slotAt(address);
        slot.ram().set(ValueLayout.JAVA_LONG_UNALIGNED, address - slot.guestAddress(), value);
      }
    }
    if (vcpu != null) {
      vcpu.offline();
    }
  }

  @Override
  public boolean pagesMove() {
    return true;
  }

  private GuestSlot slotAt(long address) {
    for (GuestSlot slot : memory().slots()) {
      long offset = address - slot.guestAddress();
      if (offset >= 0 && offset + 8 <= slot.size()) {
        return slot;
      }
    }
    throw new IndexOutOfBoundsException("no slot at 0x" + Long.toHexString(address));
  }
}
