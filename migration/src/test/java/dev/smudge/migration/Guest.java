package dev.smudge.migration;

import dev.smudge.snapshot.MachineState;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.LogVcpu;
import dev.smudge.sync.pages.PagePort;
import dev.smudge.testbase.Seed;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/** A guest with RAM of its own, one vCPU that writes anywhere, and a register that counts. */
final class Guest implements MigratingGuest, MachineState, PagePort.OwnRam, AutoCloseable {
  static final int PAGE = 4096;

  final DirtyLog log = DirtyLog.create();
  final Map<Integer, byte[]> memory = new HashMap<>();
  final List<LogSlot> slots = new ArrayList<>();
  final DirtyClient<LogSlot> client;
  final GuestRam<LogSlot> ram;
  private final LogVcpu vcpu = log.addVcpu();
  private final SplittableRandom random = Seed.random("guest");
  private @Nullable Thread thread;
  private volatile boolean stopping;
  private volatile long written; // by the running vCPU, how often
  private long register; // of the vCPU's thread while it runs
  int stops; // of the thread that migrates
  Runnable atSave = () -> {};
  Runnable atRead = () -> {}; // of a page, in a thread of a stream
  volatile boolean failing;

  /** It writes to so many pages of each slot, the first ones; the others stay as they are. */
  volatile int hotPages = Integer.MAX_VALUE;

  /** A guest of such slots, all zero. */
  Guest(List<SlotShape> shapes) {
    for (SlotShape shape : shapes) {
      memory.put(shape.id(), new byte[(int) shape.size()]);
      slots.add(log.addSlot(shape.id(), shape.pageCount(), shape.pageBytes()));
    }
    client = log.client("migration", InitialView.NONE_DIRTY);
    ram = new GuestRam<>(client, slots, this);
  }

  /** One that boots: half of its pages are written. */
  static Guest booted(int pages) {
    Guest guest =
        new Guest(List.of(new SlotShape(0, pages / 2, PAGE), new SlotShape(7, pages / 2, PAGE)));
    for (int i = 0; i < pages / 2; i++) {
      guest.store(guest.slots.get(i & 1), i / 2 * 2L * PAGE + 8L * (i % 500));
    }
    guest.vcpu.offline();
    return guest;
  }

  private void store(LogSlot slot, long offset) {
    ByteBuffer.wrap(memory(slot)).putLong((int) offset, ++register * 0x9E37_79B9_7F4A_7C15L);
    vcpu.mark(slot, offset, 8);
    vcpu.safepoint();
  }

  private byte[] memory(LogSlot slot) {
    byte[] bytes = memory.get(slot.id());
    if (bytes == null) {
      throw new IllegalArgumentException("no slot " + slot.id());
    }
    return bytes;
  }

  /** Waits until the vCPU, which runs, has written so often: it may have no core for a while. */
  void awaitWrites(long count) {
    long end = written + count;
    while (written < end) {
      LockSupport.parkNanos(20_000);
    }
  }

  @SuppressWarnings("NonAtomicVolatileUpdate") // one writer
  private void run() {
    while (!stopping) {
      LogSlot slot = slots.get(random.nextInt(slots.size()));
      store(slot, random.nextLong(Math.min((long) hotPages, slot.pageCount()) * (PAGE / 8)) * 8);
      written++;
    }
    vcpu.offline();
  }

  @Override
  public void start() {
    if (thread == null) {
      stopping = false;
      thread = new Thread(this::run, "vcpu");
      thread.setDaemon(true);
      thread.start();
    }
  }

  boolean isRunning() {
    return thread != null;
  }

  @Override
  public void stop() throws InterruptedException {
    stops++;
    stopping = true;
    Thread running = thread;
    if (running != null) {
      running.join();
    }
    thread = null;
  }

  @Override
  public void limitDirtyRate(long bytesPerSecond) {
    vcpu.limitDirtyRate(bytesPerSecond);
  }

  @Override
  public byte[] save() {
    atSave.run();
    return ByteBuffer.allocate(8).putLong(register).array();
  }

  @Override
  public void restore(byte[] bytes) {
    if (failing) {
      throw new IllegalStateException("a machine of another make");
    }
    register = ByteBuffer.wrap(bytes).getLong();
  }

  @Override
  public void read(LogSlot slot, long page, byte[] to) {
    atRead.run();
    System.arraycopy(memory(slot), (int) page * PAGE, to, 0, PAGE);
  }

  @Override
  public void write(LogSlot slot, long page, byte[] from) {
    System.arraycopy(from, 0, memory(slot), (int) page * PAGE, PAGE);
  }

  /** Throws it as it is, as other languages do. */
  @SuppressWarnings({"unchecked", "TypeParameterUnusedInFormals", "DoNotCallSuggester"})
  static <E extends Throwable> void sneak(Throwable e) throws E {
    throw (E) e;
  }

  /** {@return the first place in which the two differ, "" if they are the same} */
  String differenceFrom(Guest other) {
    for (LogSlot slot : slots) {
      int at = java.util.Arrays.mismatch(memory(slot), other.memory(slot));
      if (at >= 0) {
        return "slot " + slot.id() + ", byte " + at;
      }
    }
    return register == other.register ? "" : "register";
  }

  @Override
  public void close() {
    try {
      stop();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
    log.close();
  }
}
