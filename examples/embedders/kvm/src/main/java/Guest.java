import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.kvm.Kvm;
import dev.smudge.kvm.KvmRunner;
import dev.smudge.kvm.KvmTracker;
import dev.smudge.kvm.KvmVm;
import dev.smudge.kvm.RunLayout;
import dev.smudge.kvm.X86Registers;
import dev.smudge.migration.MigratingGuest;
import dev.smudge.snapshot.MachineState;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HexFormat;

/**
 * A VM of 2 MiB with one vCPU, whose program counts to {@link #END}, adds each number to the page
 * that its lowest seven bits name, and then tells the host by an I/O port. It migrates.
 */
final class Guest implements MigratingGuest, MachineState, AutoCloseable {
  static final long SIZE = 2 << 20;
  static final int END = 300_000_000;
  private static final int TABLE = 0x1000; // its first page tables map 2 MiB to themselves
  private static final int CODE = 0x8000;
  private static final int COUNTER = 0x10_0000; // 128 pages follow

  private static final byte[] PROGRAM =
      HexFormat.of()
          .parseHex(
              "48ffc0" // loop: inc rax
                  + "488907" // mov [rdi], rax
                  + "4889c3" // mov rbx, rax
                  + "81e37f000000" // and ebx, 127
                  + "c1e30c" // shl ebx, 12
                  + "4801841f00100000" // add [rdi + rbx + 4096], rax
                  + "483d00000000" // cmp rax, END
                  + "75de" // jne loop
                  + "e610" // done: out 0x10, al
                  + "ebfc"); // jmp done
  private static final int END_AT = 28; // in the program

  private final Kvm kvm = Kvm.open();
  private final KvmVm vm = kvm.createVm();
  private final KvmTracker tracker = KvmTracker.over(vm);
  final GuestMemory memory = GuestMemory.over(tracker.log());
  private final GuestSlot slot = memory.addSlot(0, 0, SIZE);
  private final KvmRunner vcpu = tracker.addVcpu(vm.createVcpu(0));
  private volatile boolean stopping;
  private Thread thread; // while it runs

  /** Loads the program. */
  void boot() {
    MemorySegment ram = slot.ram();
    ram.set(ValueLayout.JAVA_LONG, TABLE, 0x2000 | 0x27); // present, writable, user, accessed
    ram.set(ValueLayout.JAVA_LONG, 0x2000, 0x3000 | 0x27);
    ram.set(ValueLayout.JAVA_LONG, 0x3000, 0xe7); // dirty, of 2 MiB: the processor writes no table
    MemorySegment.copy(PROGRAM, 0, ram, ValueLayout.JAVA_BYTE, CODE, PROGRAM.length);
    ram.set(ValueLayout.JAVA_INT_UNALIGNED, CODE + END_AT, END);
    memory.device().mark(0, SIZE); // it was written around the memory
  }

  @Override
  public void start() {
    if (thread == null) {
      stopping = false;
      thread = new Thread(this::run, "vcpu");
      thread.start();
    }
  }

  private void run() {
    int reason;
    do {
      reason = vcpu.run(); // until a kick, or the program's exit
    } while (reason == RunLayout.EXIT_INTR && !stopping);
    if (reason != RunLayout.EXIT_INTR && reason != RunLayout.EXIT_IO) {
      throw new IllegalStateException("the guest stopped with exit " + reason + " of KVM's");
    }
  }

  @Override
  public void stop() throws InterruptedException {
    if (thread != null) {
      stopping = true;
      vcpu.kick();
      thread.join();
      thread = null;
    }
  }

  /** Waits for the program's end. */
  void join() throws InterruptedException {
    thread.join();
  }

  @Override
  public byte[] save() {
    return X86Registers.read(vcpu.vcpu()).general().toArray(ValueLayout.JAVA_BYTE);
  }

  @Override
  public void restore(byte[] bytes) {
    X86Registers registers = reset();
    registers.general().copyFrom(MemorySegment.ofArray(bytes));
    registers.write(vcpu.vcpu());
  }

  X86Registers reset() {
    X86Registers registers = X86Registers.read(vcpu.vcpu()).startUser(TABLE, CODE, COUNTER);
    registers.write(vcpu.vcpu());
    return registers;
  }

  long counter() {
    return slot.ram().get(ValueLayout.JAVA_LONG, COUNTER);
  }

  /** Whether each page has the sum of all numbers that were added to it, here and there. */
  boolean isComplete() {
    boolean complete = counter() == END;
    for (int page = 0; page < 128; page++) {
      long sum = slot.ram().get(ValueLayout.JAVA_LONG, COUNTER + 4096L * (page + 1));
      long count = (END - page) / 128 + 1;
      complete &= sum == count * page + 128 * (count * (count - 1) / 2);
    }
    return complete;
  }

  @Override
  public void close() {
    vcpu.close();
    vcpu.vcpu().close();
    memory.close();
    vm.close();
    kvm.close();
  }
}
