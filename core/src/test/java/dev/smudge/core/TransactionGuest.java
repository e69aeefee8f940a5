package dev.smudge.core;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;

/** A slot of 100 pages, one vCPU, a client that has seen all but page 70, one all but 3 and 70. */
final class TransactionGuest implements AutoCloseable {
  static final int PAGE = 256;
  static final long BASE = 0x4000_0000L;
  static final long FAR = 0x8000_0000L;

  final GuestMemory memory;
  final Vcpu vcpu;
  final DirtyClient<GuestSlot> one;
  final DirtyClient<GuestSlot> two;

  TransactionGuest(LogKind kind) {
    memory = kind.memory();
    memory.addSlot(5, BASE, 100 * PAGE, PAGE);
    vcpu = memory.addVcpu();
    one = memory.client("one", InitialView.NONE_DIRTY);
    two = memory.client("two", InitialView.NONE_DIRTY);
    put(3);
    Dirty.take(one);
    put(70);
  }

  void put(int page) {
    vcpu.putByte(BASE + (long) page * PAGE, (byte) page);
  }

  SlotTransaction begin() {
    return memory.beginTransaction();
  }

  @Override
  public void close() {
    vcpu.close();
    memory.close();
  }
}
