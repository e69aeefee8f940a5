package dev.smudge.testkit;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.core.AsyncWrite;
import dev.smudge.core.GuestAccessException;
import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.core.SlotTransaction;
import dev.smudge.core.Vcpu;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.RemovedSlot;
import dev.smudge.sync.VcpuPause;
import dev.smudge.sync.tracker.Tracker;
import dev.smudge.testkit.StormCounts.Kind;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.LongSupplier;
import java.util.function.UnaryOperator;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;

/**
 * Everything at once, as long as it is told to: vCPUs and devices that write, clients that take,
 * discard and write as themselves, changes of slots, pauses, tasks; and trackers that throw, stacks
 * that overflow, threads that are interrupted, or die: those of vCPUs, the kernel's among them, and
 * those that hold a pause.
 *
 * <p>Each of two clients keeps a copy of all RAM, of what it was handed, and so does the remover of
 * a slot. Now and then all writers are stopped: a byte that differs is a lost write.
 */
public final class Storm implements AutoCloseable {
  private static final int PAGE = GuestMachine.PAGE;
  private static final int PAGES = 16; // per region
  private static final int REGION = PAGES * PAGE;
  private static final int REGIONS = 6;
  private static final int FIXED = 2; // regions whose addresses are always there
  private static final long WINDOW = 1L << 20;
  private static final int STACK = 256 << 10;
  private static final long NANOS =
      TimeUnit.SECONDS.toNanos(Long.getLong("smudge.stormSeconds", 2));

  /** Where errors without a caller go: of threads that die, here. */
  private static final Logger REPORTS = Logger.getLogger(DirtyLog.class.getName());

  /** A region's slots: none, one, or two. */
  private record Region(int window, int pieces, long split, long size) {}

  /** A guest thread ends in the middle of its work. */
  private static final class Death extends RuntimeException {
    private static final long serialVersionUID = 1L;
  }

  private record Guest(Thread thread, AtomicReference<@Nullable Vcpu> vcpu) {}

  private final GuestMachine machine;
  private final GuestMemory memory;
  private final Random random;
  private final AtomicReference<@Nullable StormTracker> tracker = new AtomicReference<>();
  private final MemorySegment all;
  private final Region[] regions = new Region[REGIONS]; // of the thread that changes
  private final AtomicIntegerArray windows = new AtomicIntegerArray(REGIONS); // where they are
  private final List<DirtyClient<GuestSlot>> clients = new ArrayList<>();
  private final MemorySegment[] copies;
  private final List<RemovedSlot<GuestSlot>> handles = new ArrayList<>();
  private final List<Guest> guests = new CopyOnWriteArrayList<>();
  private final List<Thread> holders = new CopyOnWriteArrayList<>(); // of pauses
  private final List<Thread> others = new CopyOnWriteArrayList<>();
  private final ReentrantReadWriteLock asyncWrites = new ReentrantReadWriteLock();
  private final ReentrantLock second = new ReentrantLock(); // the second client's
  private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
  private volatile Thread machineThread; // dies as well, and another one takes its place
  private volatile boolean stop;

  private final StormCounts counts = new StormCounts();
  private final Deque<String> history = new ArrayDeque<>();

  /**
   * Makes a storm over a new machine.
   *
   * @param factory of the machine
   * @param planted a fault to be found, behind those of the storm; or identity
   * @param random the random numbers
   * @param vcpus software vCPUs besides the machine's own, each in a thread
   */
  public Storm(
      GuestMachine.Factory factory, UnaryOperator<Tracker> planted, Random random, int vcpus) {
    this.random = random;
    REPORTS.setFilter(report -> {
      counts.count(Kind.REPORTS);
      return false;
    });
    long seed = random.nextLong();
    machine =
        factory.machine(real -> {
          StormTracker made = new StormTracker(planted.apply(real), seed);
          tracker.set(made);
          return made;
        });
    memory = machine.memory();
    all = machine.ram((long) REGIONS * PAGES);
    copies = new MemorySegment[] {newCopy(), newCopy()};
    for (int r = 0; r < REGIONS; r++) {
      regions[r] = new Region(0, 0, 0, 0);
      int region = r;
      retry(() -> add(region));
    }
    for (int c = 0; c < copies.length; c++) {
      String name = "client " + c;
      retry(() -> clients.add(memory.client(name, InitialView.NONE_DIRTY)));
    }
    for (int v = 0; v < vcpus; v++) {
      startGuest();
    }
    machineThread = start("machine", this::machineWrites);
    start("device", this::deviceWrites);
    start("second client", this::secondClient);
    start("chaos", this::chaos);
  }

  /**
   * Lets a storm rage, for {@code -Dsmudge.stormSeconds}, 2 if that is not set, and fails if a byte
   * is lost. {@code -Dsmudge.seed} sets the random numbers.
   *
   * @param name for messages
   * @param factory of the machine
   * @param vcpus software vCPUs besides the machine's own
   */
  public static void assertNothingIsLost(String name, GuestMachine.Factory factory, int vcpus) {
    long seed = Long.getLong("smudge.seed", new Random().nextLong());
    System.out.println("storm, " + name + ": -Dsmudge.seed=" + seed);
    try (Storm storm = new Storm(factory, UnaryOperator.identity(), new Random(seed), vcpus)) {
      long lost = storm.run(NANOS);
      System.out.println("storm, " + name + ": " + storm);
      assertEquals(-1, lost, "offset of a byte that was lost");
    }
  }

  private MemorySegment newCopy() {
    return MemorySegment.ofArray(new byte[REGIONS * REGION]);
  }

  private interface Body {
    void run(Random own);
  }

  private Thread start(String name, Body body) {
    long seed = random.nextLong();
    Thread thread = new Thread(null, () -> guarded(() -> body.run(new Random(seed))), name, STACK);
    thread.setDaemon(true);
    others.add(thread);
    thread.start();
    return thread;
  }

  private void guarded(Runnable body) {
    try {
      body.run();
    } catch (Death e) {
      counts.count(Kind.DEATHS_OF_VCPUS);
    } catch (Throwable e) {
      failure.compareAndSet(null, e);
    }
  }

  /** Does something until no fault of the storm comes between. */
  private void retry(Runnable what) {
    while (!survives(what)) {
      Thread.onSpinWait();
    }
  }

  /** Whether it was done; a fault of the storm is none of the caller's. */
  private boolean survives(Runnable what) {
    try {
      what.run();
      return true;
    } catch (StormTracker.Fault e) {
      counts.count(Kind.FAULTS);
    } catch (OutOfMemoryError e) {
      if (!"of the storm".equals(e.getMessage())) {
        throw e;
      }
      counts.count(Kind.FAULTS);
    } catch (StackOverflowError e) {
      counts.count(Kind.OVERFLOWS_OF_A_STACK);
    }
    return false;
  }

  /** Runs something near the end of the stack. */
  private void squeezed(Random own, Runnable what) {
    int depth = own.nextInt(20_000);
    survives(() -> descend(depth, what));
  }

  private static int descend(int depth, Runnable what) {
    if (depth > 0) {
      return descend(depth - 1, what) + 1;
    }
    what.run();
    return 0;
  }

  private static boolean oneIn(int n, Random own) {
    return own.nextInt(n) == 0;
  }

  private static void forgetInterrupt(Random own) {
    if (oneIn(20, own)) {
      Thread.interrupted();
    }
  }

  // Who writes.

  private static long address(int region, int window) {
    return GuestMachine.BASE + region * WINDOW + window * WINDOW / 2;
  }

  private long somewhere(Random own) {
    int r = own.nextInt(REGIONS);
    return address(r, windows.get(r)) + own.nextInt(REGION);
  }

  private void startGuest() {
    long seed = random.nextLong();
    AtomicReference<@Nullable Vcpu> vcpu = new AtomicReference<>();
    Thread thread =
        new Thread(null, () -> guarded(() -> guest(vcpu, new Random(seed))), "guest", STACK);
    thread.setDaemon(true);
    guests.add(new Guest(thread, vcpu));
    thread.start();
  }

  private void guest(AtomicReference<@Nullable Vcpu> handle, Random own) {
    Vcpu vcpu = memory.addVcpu();
    handle.set(vcpu);
    while (!stop) {
      for (int i = 0; i < 32; i++) {
        try {
          if (oneIn(100, own)) {
            squeezed(own, () -> store(vcpu, own));
          } else {
            store(vcpu, own);
          }
          counts.count(Kind.WRITES_BY_VCPUS);
        } catch (GuestAccessException e) {
          // No slot is there now.
        }
      }
      survives(vcpu::safepoint);
      forgetInterrupt(own);
      if (oneIn(16, own)) {
        vcpu.offline();
        LockSupport.parkNanos(own.nextInt(200_000));
      } else if (oneIn(2_000, own)) {
        throw new Death();
      }
    }
    vcpu.close();
  }

  private void store(Vcpu vcpu, Random own) {
    long at = somewhere(own);
    switch (own.nextInt(10)) {
      case 0 -> vcpu.fill(at, own.nextInt(3 * PAGE), (byte) own.nextInt());
      case 1 -> {
        byte[] bytes = new byte[own.nextInt(40)];
        own.nextBytes(bytes);
        vcpu.write(at, bytes, 0, bytes.length);
      }
      case 2 -> vcpu.copy(somewhere(own), at, own.nextInt(2 * PAGE));
      case 3 -> vcpu.atomics().getAndAdd(at & -8, 8, own.nextLong());
      case 4 -> vcpu.putByte(at, (byte) own.nextInt());
      case 5 -> vcpu.putShort(at, (short) own.nextInt());
      case 6, 7 -> vcpu.putInt(at, own.nextInt());
      default -> vcpu.putLong(at, own.nextLong());
    }
  }

  /** The machine's own vCPU, to addresses that are always there. */
  private void machineWrites(Random own) {
    while (!stop) {
      long[] addresses = new long[1 + own.nextInt(20)];
      for (int i = 0; i < addresses.length; i++) {
        addresses[i] = address(own.nextInt(FIXED), 0) + own.nextInt(REGION / 8) * 8L;
      }
      survives(() -> machine.write(own.nextLong(), addresses));
      counts.add(Kind.WRITES_BY_THE_MACHINE, addresses.length);
      forgetInterrupt(own);
      if (oneIn(1_000, own)) {
        throw new Death();
      }
    }
  }

  private void deviceWrites(Random own) {
    while (!stop) {
      long at = somewhere(own);
      try {
        if (oneIn(3, own)) {
          asyncWrite(at, own);
          counts.count(Kind.ASYNCHRONOUS_WRITES);
        } else if (oneIn(20, own)) {
          memory.device().release(at, own.nextInt(2 * PAGE));
          counts.count(Kind.RELEASES);
        } else if (oneIn(50, own)) {
          squeezed(own, () -> memory.device().putLong(at, own.nextLong()));
          counts.count(Kind.WRITES_BY_DEVICES);
        } else {
          memory.device().putLong(at, own.nextLong());
          counts.count(Kind.WRITES_BY_DEVICES);
        }
      } catch (GuestAccessException e) {
        // No slot is there now.
      }
      forgetInterrupt(own);
    }
  }

  private void asyncWrite(long at, Random own) {
    asyncWrites.readLock().lock();
    try (AsyncWrite write = memory.device().beginWrite(at, 8)) {
      Thread.onSpinWait();
      write.target().set(ValueLayout.JAVA_LONG_UNALIGNED, 0, own.nextLong());
    } finally {
      asyncWrites.readLock().unlock();
    }
  }

  // Who takes.

  private void secondClient(Random own) {
    DirtyClient<GuestSlot> client = clients.get(1);
    while (!stop) {
      second.lock();
      try {
        survives(() -> useSecond(client, own));
      } catch (IllegalArgumentException | GuestAccessException e) {
        // The slot was changed meanwhile.
      } finally {
        second.unlock();
      }
      forgetInterrupt(own);
      LockSupport.parkNanos(own.nextInt(300_000));
    }
  }

  private void useSecond(DirtyClient<GuestSlot> client, Random own) {
    GuestSlot slot = memory.slots().get(own.nextInt(FIXED));
    long first = own.nextLong(slot.pageCount());
    long count = 1 + own.nextLong(slot.pageCount() - first);
    Kind kind = Kind.TAKES;
    switch (own.nextInt(8)) {
      case 0 -> copy(1, client.takeAtMost(1 + own.nextInt(20)), own);
      case 1 -> copy(1, client.takeRange(slot, first, count), own);
      case 2 -> {
        kind = Kind.DISCARDS;
        client.discard(slot, first, count);
        copyTo(copies[1], slot.pages(first, count)); // what it holds from then on
      }
      case 3 -> {
        kind = Kind.WRITES_BY_A_CLIENT;
        byte[] bytes = new byte[1 + own.nextInt(2 * PAGE)];
        own.nextBytes(bytes);
        long at = slot.guestAddress() + first * (long) PAGE;
        memory.device().writeAs(client, at, MemorySegment.ofArray(bytes));
        copyTo(copies[1], memoryAt(at, bytes.length));
      }
      case 4 -> {
        kind = Kind.SYNCS;
        memory.log().sync();
      }
      case 5 -> {
        AtomicReference<@Nullable DirtyBatch<GuestSlot>> taken = new AtomicReference<>();
        squeezed(own, () -> taken.set(client.take()));
        DirtyBatch<GuestSlot> batch = taken.get();
        if (batch != null) {
          squeezed(own, batch::close);
          batch.close(); // again, if the first was cut short
        }
      }
      default -> copy(1, client.take(), own);
    }
    counts.count(kind);
  }

  /** A part of a region that is always there. */
  private MemorySegment memoryAt(long address, long length) {
    int region = (int) ((address - GuestMachine.BASE) / WINDOW);
    long offset = address - address(region, 0);
    return all.asSlice(region * (long) REGION + offset, length);
  }

  private void copy(int client, DirtyBatch<GuestSlot> batch, Random own) {
    long maxPages = own.nextLong(1, 31);
    boolean fails = oneIn(20, own);
    boolean inParts = own.nextBoolean();
    try (batch) {
      batch.forEachRun(
          maxPages,
          (slot, first, count) -> {
            if (fails && oneIn(3, own)) {
              throw new StormTracker.Fault();
            }
            copyTo(copies[client], slot.pages(first, count));
            if (inParts) {
              batch.acknowledge(slot, first, count);
            }
          });
      if (!inParts) {
        batch.commit();
      }
    }
  }

  private void copyTo(MemorySegment copy, MemorySegment content) {
    copy.asSlice(content.address() - all.address(), content.byteSize()).copyFrom(content);
  }

  // Who disturbs them.

  private void chaos(Random own) {
    while (!stop) {
      switch (own.nextInt(6)) {
        case 0 -> interruptOne(own);
        case 1 -> pauseByOneWhoMayDie(own);
        case 2 -> pauseAll();
        case 3 -> task(own);
        default -> replaceTheDead();
      }
      forgetInterrupt(own);
      LockSupport.parkNanos(own.nextInt(2_000_000));
    }
  }

  private void interruptOne(Random own) {
    List<Thread> threads = new ArrayList<>();
    guests.forEach(guest -> threads.add(guest.thread));
    threads.addAll(others);
    threads.get(own.nextInt(threads.size())).interrupt();
    counts.count(Kind.INTERRUPTS);
  }

  private void pauseByOneWhoMayDie(Random own) {
    boolean dies = oneIn(4, own);
    Thread holder =
        new Thread(() ->
            guarded(() -> {
              VcpuPause pause = memory.pause();
              if (!dies) {
                pause.close();
              }
            }));
    holder.setDaemon(true);
    holders.removeIf(old -> !old.isAlive());
    holders.add(holder);
    holder.start();
    if (oneIn(3, own)) {
      holder.interrupt();
      counts.count(Kind.INTERRUPTS);
    }
    counts.count(dies ? Kind.PAUSES_WHOSE_HOLDER_DIES : Kind.PAUSES);
  }

  /** While all are stopped, nothing changes. */
  private void pauseAll() {
    whileAllAreStopped(() -> {
      MemorySegment before = newCopy().copyFrom(all);
      LockSupport.parkNanos(10_000);
      if (before.mismatch(all) >= 0) {
        throw new AssertionError("something wrote during a pause of all");
      }
      return -1;
    });
    counts.count(Kind.PAUSES);
  }

  private long whileAllAreStopped(LongSupplier what) {
    asyncWrites.writeLock().lock();
    second.lock();
    try {
      VcpuPause pause = memory.pauseAll();
      try {
        return what.getAsLong();
      } finally {
        pause.close();
      }
    } finally {
      second.unlock();
      asyncWrites.writeLock().unlock();
    }
  }

  private void task(Random own) {
    if (guests.isEmpty()) {
      return;
    }
    Vcpu vcpu = guests.get(own.nextInt(guests.size())).vcpu.get();
    if (vcpu == null) {
      return;
    }
    int what = own.nextInt(3);
    long value = own.nextLong();
    try {
      Future<?> _ =
          vcpu.runOnVcpu(() -> {
            switch (what) {
              case 0 -> vcpu.offline();
              case 1 -> vcpu.putLong(address(0, 0) + (value & 0xfff), value);
              default -> throw new StormTracker.Fault(); // into its future
            }
          });
      counts.count(Kind.TASKS);
    } catch (IllegalStateException e) {
      // Its thread has died, or it has too many tasks.
    }
  }

  private void replaceTheDead() {
    if (!machineThread.isAlive() && !stop) {
      others.remove(machineThread);
      machineThread = start("machine", this::machineWrites);
    }
    for (Guest guest : List.copyOf(guests)) {
      if (!guest.thread.isAlive() && !stop) {
        guests.remove(guest);
        Vcpu vcpu = guest.vcpu.get();
        if (vcpu != null) {
          retry(vcpu::close);
        }
        startGuest();
      }
    }
  }

  // Who changes the slots.

  private MemorySegment ram(int region, long size) {
    return all.asSlice((long) region * REGION, size);
  }

  private void add(int r) {
    Region region = regions[r];
    Region next = new Region(region.window, 1, 0, REGION);
    try (SlotTransaction change = memory.beginTransaction()) {
      change.add(2 * r, address(r, region.window), ram(r, REGION), PAGE);
      commit(r, next, change);
    }
  }

  /** One random change of one region, a batch of the first client perhaps open across it. */
  private void change() {
    int r = random.nextInt(REGIONS);
    DirtyBatch<GuestSlot> open = oneIn(3, random) ? clients.getFirst().take() : null;
    try {
      if (regions[r].pieces == 0) {
        add(r);
      } else {
        try (SlotTransaction change = memory.beginTransaction()) {
          commit(r, steps(r, regions[r], change), change);
        }
      }
    } finally {
      if (open != null && random.nextBoolean()) {
        copy(0, open, random);
      } else if (open != null) {
        open.close(); // is given back
      }
    }
    counts.count(Kind.CHANGES_OF_SLOTS);
  }

  private void commit(int r, Region next, SlotTransaction change) {
    List<GuestSlot> before = memory.slots();
    try {
      change.commit();
      note(r, next, "whole");
    } catch (RuntimeException | Error e) {
      note(r, next, e.toString() + (before.equals(memory.slots()) ? "" : ", made"));
      throw e;
    } finally {
      if (!before.equals(memory.slots())) { // it was made, whatever came after
        regions[r] = next;
        windows.set(r, next.window);
        change.removed().forEach(handles::add);
      }
    }
  }

  private void note(int r, Region next, String how) {
    history.add(r + " -> " + next + " " + how);
    if (history.size() > 12) {
      history.remove();
    }
  }

  private Region steps(int r, Region region, SlotTransaction change) {
    int first = 2 * r;
    boolean fixed = r < FIXED;
    int what = fixed ? 5 : random.nextInt(6);
    if (what == 0) {
      change.remove(first);
      if (region.pieces == 2) {
        change.remove(first + 1);
      }
      return new Region(region.window, 0, 0, 0);
    }
    if (what <= 2) {
      int to = 1 - region.window;
      change.move(first, address(r, to));
      if (region.pieces == 2) {
        change.move(first + 1, address(r, to) + region.split);
      }
      return new Region(to, region.pieces, region.split, region.size);
    }
    if (region.pieces == 2) {
      change.merge(first, first + 1);
      return new Region(region.window, 1, 0, region.size);
    }
    if (region.size < REGION) {
      change.replaceRam(first, ram(r, REGION));
      return new Region(region.window, 1, 0, REGION);
    }
    long part = PAGE * (1L + random.nextInt(PAGES - 1));
    if (what == 3) {
      change.resize(first, part);
      return new Region(region.window, 1, 0, part);
    }
    change.split(first, part, first + 1);
    return new Region(region.window, 2, part, region.size);
  }

  private void copyLost(RemovedSlot<GuestSlot> removed) {
    removed.forEachRun((slot, first, count) -> {
      copyTo(copies[0], slot.pages(first, count));
      copyTo(copies[1], slot.pages(first, count));
    });
  }

  // The oracle.

  /**
   * Lets it rage.
   *
   * @param nanos how long, in nanoseconds
   * @return the offset of a lost byte in all RAM; -1 if there is none
   */
  public long run(long nanos) {
    long start = System.nanoTime();
    while (System.nanoTime() - start < nanos) {
      for (int i = 0; i < 20; i++) {
        survives(this::change);
        if (oneIn(3, random)) {
          survives(() -> copy(0, clients.getFirst().take(), random));
          counts.count(Kind.TAKES);
        }
      }
      long lost = check();
      if (lost >= 0) {
        return lost;
      }
      checkFailure(); // sooner than at the end
    }
    return check();
  }

  private void checkFailure() {
    Throwable e = failure.get();
    if (e != null) {
      throw new AssertionError("a thread of the storm", e);
    }
  }

  /** Where nobody writes: the first byte that a copy has not; -1 if there is none. */
  private long check() {
    return whileAllAreStopped(this::compare);
  }

  private long compare() {
    for (RemovedSlot<GuestSlot> removed : handles) {
      retry(() -> copyLost(removed));
      removed.close();
    }
    handles.clear();
    for (int c = 0; c < copies.length; c++) {
      int client = c;
      retry(() -> {
        try (DirtyBatch<GuestSlot> batch = clients.get(client).take()) {
          batch.forEachRun(
              (slot, first, count) -> copyTo(copies[client], slot.pages(first, count)));
          batch.commit();
        }
      });
    }
    for (int c = 0; c < copies.length; c++) {
      counts.add(Kind.PAGES_COMPARED, (long) REGIONS * PAGES);
      long lost = copies[c].mismatch(all);
      if (lost >= 0) {
        describe(c, lost);
        return lost;
      }
    }
    return -1;
  }

  private void describe(int client, long at) {
    int region = (int) (at / REGION);
    long page = at / PAGE;
    long bytes = 0;
    for (long i = page * PAGE; i < (page + 1) * PAGE; i++) {
      if (copies[client].get(ValueLayout.JAVA_BYTE, i) != all.get(ValueLayout.JAVA_BYTE, i)) {
        bytes++;
      }
    }
    System.out.println(
        "lost: client "
            + client
            + ", page "
            + page % PAGES
            + " of region "
            + region
            + ", from byte "
            + at % PAGE
            + ", "
            + bytes
            + " bytes; "
            + regions[region]
            + ", last changes "
            + history);
  }

  @Override
  public String toString() {
    return counts.toString();
  }

  /** Ends all threads, and the machine. What one of them threw comes out. */
  @Override
  public void close() {
    stop = true;
    Objects.requireNonNull(tracker.get()).calm();
    others.forEach(Storm::join);
    holders.forEach(Storm::join);
    for (Guest guest : guests) {
      join(guest.thread);
    }
    machine.close();
    REPORTS.setFilter(null);
    checkFailure();
  }

  private static void join(Thread thread) {
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
