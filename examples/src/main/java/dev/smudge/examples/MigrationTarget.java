package dev.smudge.examples;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.examples.StreamException.Fault;
import dev.smudge.sync.DirtyLog;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;

/**
 * The destination of a migration. Its guest runs only after the stream was read to its end, every
 * checksum and the digest were found right, and the source has said COMMIT; whatever happens before
 * that, all that was received is thrown away.
 *
 * <p>The guest is not held to its pace here: the sooner it ends, the sooner its output is known.
 *
 * <p>Pages are written as a device writes them: marked, so that the guest can be migrated again
 * (docs/bugs.md row 25).
 */
final class MigrationTarget implements AutoCloseable {
  private static final Duration HEARTBEAT = Duration.ofMillis(200);
  private static final int MAX_STATE = 1 << 30;
  private static final int MAX_CHANNELS = 1 << 16;

  private final FrameReader in;
  private final FrameWriter out;
  private final UninterruptedRun uninterrupted;
  private final MigrationListener listener;
  private final Transcript transcript;
  private final ByteArrayOutputStream state = new ByteArrayOutputStream();

  private @Nullable Program program;
  private @Nullable Machine machine;
  private @Nullable Guest guest;
  private long[] linesBefore = new long[0];
  private boolean running;

  /**
   * Makes a destination without a guest.
   *
   * @param connection to the source; the caller closes it
   * @param uninterrupted what to compare the output with
   * @param output gets what the guest prints, as it comes
   * @param listener is told how it goes
   */
  MigrationTarget(
      Connection connection,
      UninterruptedRun uninterrupted,
      GuestOutput output,
      MigrationListener listener)
      throws IOException {
    this.in = new FrameReader(connection.input());
    this.out = new FrameWriter(connection.output());
    this.uninterrupted = uninterrupted;
    this.listener = listener;
    this.transcript = new Transcript(output);
  }

  /** {@return whether the guest was handed over to this destination} */
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
   * Receives a guest, runs it to its end, and compares its output.
   *
   * @return what was found out
   * @throws IOException if there is no guest: the stream is damaged, ended, or the source gave up
   */
  Verdict run() throws IOException {
    Guest received;
    try {
      received = receive();
    } catch (BufferUnderflowException | IllegalArgumentException | IndexOutOfBoundsException e) {
      StreamException bad =
          new StreamException(Fault.BAD_CONTENT, "a frame makes no sense: " + e.getMessage());
      bad.initCause(e);
      refuse(bad);
      throw bad;
    } catch (IOException | RuntimeException e) {
      refuse(e);
      throw e;
    }
    running = true;
    received.start();
    return report(received);
  }

  private void refuse(Exception reason) {
    try {
      out.send(FrameType.REFUSED, String.valueOf(reason.getMessage()));
    } catch (IOException e) {
      reason.addSuppressed(e);
    }
  }

  /** All up to COMMIT. */
  private Guest receive() throws IOException {
    ByteBuffer hello = in.expect(FrameType.HELLO);
    String kind = FrameReader.string(hello);
    Program wanted = Program.of(kind, FrameReader.bytes(hello));
    program = wanted;
    Machine made = wanted.machine(DirtyLog.builder(), 0);
    machine = made;
    GuestMemory memory = made.memory();
    wanted.addSlots(memory);
    checkSlots(hello, memory);
    out.send(FrameType.ACCEPTED);
    listener.phase("receiving");
    for (FrameType type = in.next(); type != FrameType.END; type = in.next()) {
      switch (type) {
        case ROUND -> listener.roundBegins(in.body().getInt(), 0);
        case DATA -> data(memory);
        case ZERO -> zero(memory);
        case STATE -> state();
        default -> throw in.unexpected(type, "DATA or END");
      }
    }
    end();
    Guest restored = wanted.unpaced().restore(made, state.toByteArray(), transcript);
    guest = restored;
    out.begin().put(in.digestBeforeEnd());
    out.end(FrameType.READY);
    out.flush();
    listener.phase("comparing RAM");
    RamComparison comparison = new RamComparison(memory);
    for (FrameType type = in.next(); type != FrameType.COMPARE_END; type = in.next()) {
      switch (type) {
        case COMPARE -> comparison.data(in.body());
        case COMPARE_ZERO -> comparison.zero(in.body());
        default -> throw in.unexpected(type, "COMPARE or COMPARE_END");
      }
    }
    compared(comparison.result());
    in.expect(FrameType.COMMIT);
    return restored;
  }

  private static void checkSlots(ByteBuffer hello, GuestMemory memory) throws StreamException {
    ByteBuffer slots = ByteBuffer.allocate(StreamLayout.MAX_BODY);
    SourceStream.putSlots(slots, memory);
    if (!slots.flip().equals(hello)) {
      throw new StreamException(
          Fault.BAD_CONTENT, "the source's slots are not those of its program: " + memory.slots());
    }
  }

  private void data(GuestMemory memory) {
    ByteBuffer body = in.body();
    GuestSlot slot = memory.slot(body.getInt());
    long offset = body.getLong();
    checkRange(slot, offset, body.remaining());
    memory.device().write(slot.guestAddress() + offset, MemorySegment.ofBuffer(body));
  }

  private void zero(GuestMemory memory) {
    ByteBuffer body = in.body();
    GuestSlot slot = memory.slot(body.getInt());
    long offset = body.getLong();
    long length = body.getLong();
    checkRange(slot, offset, length);
    memory.device().fill(slot.guestAddress() + offset, length, (byte) 0);
  }

  static void checkRange(GuestSlot slot, long offset, long length) {
    if (offset < 0 || length < 1 || offset > slot.size() - length) {
      throw new IndexOutOfBoundsException(
          length + " bytes from offset " + offset + " are not all in " + slot);
    }
  }

  private void state() throws StreamException {
    ByteBuffer body = in.body();
    if (state.size() + body.remaining() > MAX_STATE) {
      throw new StreamException(
          Fault.BAD_CONTENT, "the state has more than " + MAX_STATE + " bytes");
    }
    byte[] piece = new byte[body.remaining()];
    body.get(piece);
    state.writeBytes(piece);
  }

  private void end() throws StreamException {
    ByteBuffer body = in.body();
    long stateSize = body.getLong();
    int channels = body.getInt();
    if (channels < 0 || channels > MAX_CHANNELS || stateSize != state.size()) {
      throw new StreamException(
          Fault.BAD_CONTENT,
          "a state of " + state.size() + " bytes came, and " + stateSize + " were sent");
    }
    linesBefore = new long[channels];
    for (int i = 0; i < channels; i++) {
      linesBefore[i] = body.getLong();
    }
    byte[] sent = new byte[StreamLayout.DIGEST_SIZE];
    body.get(sent);
    if (!Arrays.equals(sent, in.digestBeforeEnd())) {
      throw new StreamException(
          Fault.BAD_DIGEST, "each frame is right, and yet this is not the stream that was sent");
    }
  }

  private void compared(Comparison found) throws IOException {
    ByteBuffer body = out.begin();
    body.putLong(found.pages()).putLong(found.differing()).putInt(found.first().size());
    found.first().forEach(body::putLong);
    out.end(FrameType.COMPARED);
    out.flush();
  }

  /** The guest runs, whatever becomes of the connection from here on. */
  private Verdict report(Guest received) {
    boolean connected = tell(FrameType.RUNNING, false, "");
    listener.phase("running");
    CompletableFuture<Verdict> done = CompletableFuture.supplyAsync(() -> judge(received));
    for (; ; ) {
      try {
        Verdict verdict = done.get(HEARTBEAT.toMillis(), TimeUnit.MILLISECONDS);
        tell(FrameType.REPORT, verdict.verified(), verdict.text());
        return verdict;
      } catch (TimeoutException e) {
        listener.destinationRuns(transcript.size());
        connected = connected && tell(FrameType.PROGRESS, false, "");
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return new Verdict(false, "interrupted while the guest ran");
      } catch (ExecutionException e) {
        Verdict verdict = new Verdict(false, "the check failed: " + e.getCause());
        tell(FrameType.REPORT, false, verdict.text());
        return verdict;
      }
    }
  }

  private boolean tell(FrameType type, boolean verified, String text) {
    try {
      ByteBuffer body = out.begin();
      if (type == FrameType.PROGRESS) {
        body.putLong(transcript.size());
      } else if (type == FrameType.REPORT) {
        FrameWriter.putString(body.putInt(verified ? 1 : 0), text);
      }
      out.end(type);
      out.flush();
      return true;
    } catch (IOException e) {
      listener.phase("the source is gone (" + e.getMessage() + "); the guest runs on here");
      return false;
    }
  }

  private Verdict judge(Guest received) {
    try {
      received.completion().join();
    } catch (CompletionException e) {
      return new Verdict(false, "the guest failed at the destination: " + e.getCause());
    }
    Program ran = program;
    if (ran == null) {
      throw new IllegalStateException("a guest without a program");
    }
    return OutputCheck.rest(uninterrupted.of(ran), transcript, linesBefore);
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
