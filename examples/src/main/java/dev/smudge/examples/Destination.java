package dev.smudge.examples;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.migration.GuestRam;
import dev.smudge.migration.Messages;
import dev.smudge.migration.MigrationTarget;
import dev.smudge.snapshot.MachineState;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;

/**
 * Where a guest is migrated to. It is run to its end, its output is compared with an uninterrupted
 * run, and the source is told.
 *
 * <p>The guest is not held to its pace here: the sooner it ends, the sooner its output is known.
 */
final class Destination implements MachineState, AutoCloseable {
  private static final Duration HEARTBEAT = Duration.ofMillis(200);

  private final UninterruptedRun uninterrupted;
  private final Progress progress;
  private final Transcript transcript;

  private @Nullable Program program;
  private @Nullable Machine machine;
  private @Nullable Guest guest;
  private long[] linesBefore = new long[0];
  private volatile boolean running;

  /**
   * Makes a destination without a guest.
   *
   * @param uninterrupted what to compare the output with
   * @param output gets what the guest prints, as it comes
   * @param progress is told how it goes
   */
  Destination(UninterruptedRun uninterrupted, GuestOutput output, Progress progress) {
    this.uninterrupted = uninterrupted;
    this.progress = progress;
    this.transcript = new Transcript(output);
  }

  /** {@return whether a guest was handed over} */
  boolean isRunning() {
    return running;
  }

  Transcript transcript() {
    return transcript;
  }

  /** {@return how many lines of each channel the source printed} */
  long[] linesBefore() {
    return linesBefore;
  }

  /**
   * Receives a guest, runs it to its end, and compares its output. Once.
   *
   * @param from what the source has said so far; the caller closes it
   * @return what was found out
   * @throws IOException if there is no guest: the stream is damaged, ended, or the source gave up
   */
  Verdict run(MigrationTarget from) throws IOException {
    Machine made;
    try {
      program = Program.of(from.greeting());
      made = Objects.requireNonNull(program).machine(DirtyLog.builder(), 0);
      machine = made;
      program.addSlots(made.memory());
    } catch (RuntimeException e) {
      from.refuse(String.valueOf(e.getMessage()));
      throw e;
    }
    GuestMemory memory = made.memory();
    GuestRam<GuestSlot> ram =
        new GuestRam<>(
            memory.client("incoming", InitialView.NONE_DIRTY), memory.slots(), memory.pages());
    from.listener(progress)
        .receive(
            ram,
            this,
            messages -> RamComparison.answer(messages, memory),
            () -> Objects.requireNonNull(guest).start());
    running = true;
    return report(from.messages(), from.isSourceTold());
  }

  @Override
  public byte[] save() {
    throw new UnsupportedOperationException("a destination sends no guest");
  }

  @Override
  public void restore(byte[] bytes) {
    ByteBuffer all = ByteBuffer.wrap(bytes);
    int channels = bytes.length < Integer.BYTES ? -1 : all.getInt();
    if (channels < 0 || channels > all.remaining() / Long.BYTES) {
      throw new IllegalArgumentException(
          "a state of " + bytes.length + " bytes with the lines of " + channels + " channels");
    }
    linesBefore = new long[channels];
    for (int i = 0; i < channels; i++) {
      linesBefore[i] = all.getLong();
    }
    byte[] state = new byte[all.remaining()];
    all.get(state);
    guest =
        Objects.requireNonNull(program)
            .unpaced()
            .restore(Objects.requireNonNull(machine), state, transcript);
  }

  /** The guest runs, whatever becomes of the connection from here on. */
  private Verdict report(Messages source, boolean told) {
    boolean connected = told;
    progress.phase("running");
    CompletableFuture<Verdict> done = CompletableFuture.supplyAsync(this::judge);
    for (; ; ) {
      try {
        Verdict verdict = done.get(HEARTBEAT.toMillis(), TimeUnit.MILLISECONDS);
        tell(source, verdict.toBytes());
        return verdict;
      } catch (TimeoutException e) {
        progress.destinationRuns(transcript.size());
        connected = connected && tell(source, Verdict.notYet(transcript.size()));
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return new Verdict(false, "interrupted while the guest ran");
      } catch (ExecutionException e) {
        Verdict verdict = new Verdict(false, "the check failed: " + e.getCause());
        tell(source, verdict.toBytes());
        return verdict;
      }
    }
  }

  private boolean tell(Messages source, byte[] message) {
    try {
      source.send(message);
      return true;
    } catch (IOException e) {
      progress.phase("the source is gone (" + e.getMessage() + "); the guest runs on here");
      return false;
    }
  }

  private Verdict judge() {
    try {
      Objects.requireNonNull(guest).completion().join();
    } catch (CompletionException e) {
      return new Verdict(false, "the guest failed at the destination: " + e.getCause());
    }
    return OutputCheck.rest(
        uninterrupted.of(Objects.requireNonNull(program)), transcript, linesBefore);
  }

  /** Stops the guest, if there is one, and gives its memory back. A second call does nothing. */
  @Override
  public void close() {
    Guest last = guest;
    guest = null;
    if (last != null) {
      last.close();
    }
    Machine made = machine;
    if (made != null) {
      made.close();
    }
  }
}
