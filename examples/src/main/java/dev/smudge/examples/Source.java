package dev.smudge.examples;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.migration.GuestRam;
import dev.smudge.migration.Messages;
import dev.smudge.migration.MigratingGuest;
import dev.smudge.migration.MigrationSource;
import dev.smudge.snapshot.MachineState;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.DirtyLogBuilder;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.tracker.Tracker;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Queue;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.UnaryOperator;
import org.agrona.concurrent.AgentRunner;
import org.agrona.concurrent.BackoffIdleStrategy;
import org.jspecify.annotations.Nullable;

/**
 * A guest that runs here and can be migrated.
 *
 * <p>The client that collects dirty pages starts before the guest is made, on RAM that is all zero,
 * and sees no page as dirty. The destination begins with zeroes as well. So what the client is
 * given is all that has to be sent, and the first round of a slot of 1 TiB costs what the guest has
 * touched of it.
 */
final class Source implements MigratingGuest, MachineState, AutoCloseable {
  private final Program program;
  private final Queue<Throwable> lateWrites = new ConcurrentLinkedQueue<>();
  private final Machine machine;
  private final GuestMemory memory; // the machine's
  private final GuestRam<GuestSlot> ram;
  private final @Nullable GuestRam<GuestSlot> measured;
  private final Transcript transcript;
  private final Guest guest;
  private final @Nullable AgentRunner reaper; // of the rings, if there are any
  private @Nullable Comparison comparison;

  /**
   * Makes the guest, not running yet.
   *
   * @param program what it runs
   * @param ring entries of each vCPU's dirty ring, 0: bitmap mode
   * @param backend put in front of the dirty log's, to leave things out
   * @param isMeasured whether there is a client for {@link #measured}
   * @param output gets what it prints, as it comes
   */
  Source(
      Program program,
      int ring,
      UnaryOperator<Tracker> backend,
      boolean isMeasured,
      GuestOutput output) {
    this.program = program;
    this.transcript = new Transcript(output);
    DirtyLogBuilder log =
        DirtyLog.builder().interceptTracker(backend).errorHandler(lateWrites::add);
    this.machine = program.machine(log, ring);
    this.memory = machine.memory();
    this.reaper = ring == 0 ? null : startReaper(memory); // before the boot, which writes already
    try {
      program.addSlots(memory);
      this.ram = ram("migration");
      this.measured = isMeasured ? ram("dirty rate") : null;
      this.guest = program.boot(machine, transcript);
    } catch (RuntimeException | Error e) {
      closeMachine();
      throw e;
    }
  }

  /**
   * Else a vCPU whose ring is full would wait for the next round, before the first one for long.
   */
  private AgentRunner startReaper(GuestMemory memory) {
    AgentRunner runner =
        new AgentRunner(new BackoffIdleStrategy(), lateWrites::add, null, memory.log().reaper());
    AgentRunner.startOnThread(runner);
    return runner;
  }

  /** {@return the RAM, with a new client that sees as dirty what is written from now on} */
  private GuestRam<GuestSlot> ram(String client) {
    return new GuestRam<>(
        memory.client(client, InitialView.NONE_DIRTY), memory.slots(), memory.pages());
  }

  /** {@return the RAM, with the client that measures its dirty rate; null if it is not to be} */
  @Nullable GuestRam<GuestSlot> measured() {
    return measured;
  }

  Guest guest() {
    return guest;
  }

  Transcript transcript() {
    return transcript;
  }

  /**
   * {@return what the dirty log or its reaper reported, above all writes after the guest was
   * stopped}
   */
  Queue<Throwable> lateWrites() {
    return lateWrites;
  }

  /** {@return the RAM of the source} */
  GuestMemory memory() {
    return memory;
  }

  /** {@return how often its vCPUs waited because their rings were full} */
  long ringFullWaits() {
    return machine.ringFullWaits();
  }

  /**
   * {@return what the last migration's comparison of RAM found; null if it did not come to that}
   */
  @Nullable Comparison comparison() {
    return comparison;
  }

  /** {@return a migration of the guest, whose RAM is compared before it is handed over} */
  MigrationSource<GuestSlot> migration() {
    return MigrationSource.of(ram, this, this).greeting(program.greeting()).check(this::compare);
  }

  private void compare(Messages destination) throws IOException {
    Comparison found = RamComparison.ask(destination, program, memory);
    comparison = found;
    if (!found.isEqual()) {
      throw new LostWritesException(found);
    }
  }

  /** The destination's RAM is not the source's. */
  static final class LostWritesException extends IOException {
    private static final long serialVersionUID = 1L;

    LostWritesException(Comparison comparison) {
      super(comparison.summary());
    }
  }

  /** Runs the guest. */
  @Override
  public void start() {
    memory.unseal();
    guest.start();
  }

  @Override
  public void limitDirtyRate(long bytesPerSecond) {
    guest.limitDirtyRate(bytesPerSecond);
  }

  @Override
  public void stop() {
    guest.stop();
    if (!guest.completion().isCompletedExceptionally()) {
      memory.seal();
    }
  }

  @Override
  public void check() throws IOException {
    if (guest.completion().isCompletedExceptionally()) {
      try {
        guest.completion().join();
      } catch (CompletionException e) {
        throw new IOException("the guest failed: " + e.getCause(), e.getCause());
      }
    }
  }

  /** How many lines were printed on each channel, and the guest's state. */
  @Override
  public byte[] save() {
    long[] lines = transcript.counts();
    byte[] state = guest.state();
    ByteBuffer all = ByteBuffer.allocate(Integer.BYTES + lines.length * Long.BYTES + state.length);
    all.putInt(lines.length);
    for (long count : lines) {
      all.putLong(count);
    }
    return all.put(state).array();
  }

  @Override
  public void restore(byte[] bytes) {
    throw new UnsupportedOperationException("a source receives no guest");
  }

  /** Stops the guest and gives its memory back. A second call does nothing. */
  @Override
  public void close() {
    guest.close();
    closeMachine();
  }

  private void closeMachine() {
    if (reaper != null) {
      reaper.close();
    }
    machine.close();
  }
}
