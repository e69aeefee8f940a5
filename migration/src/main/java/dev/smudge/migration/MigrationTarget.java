package dev.smudge.migration;

import dev.smudge.migration.MigrationException.Fault;
import dev.smudge.migration.MigrationListener.Phase;
import dev.smudge.snapshot.MachineState;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * The destination of one migration. The guest runs here only after all streams were read to their
 * ends, every checksum and every digest was found right, the state of its machine was restored, and
 * the source has given the guest up. After any failure before that, no guest runs here, and its RAM
 * has to be discarded.
 *
 * <p>Threads: one, except that any may call {@link #close} and {@link #refuse}. With more than one
 * connection, {@link #receive} starts one thread per further connection while it lasts. Source:
 * docs/guide/live-migration.md.
 */
public final class MigrationTarget implements AutoCloseable {
  private final List<TargetStream> streams;
  private final TargetStream main;

  /** In the place of a failure: what fails from here on does not leave the guest at the source. */
  private final Exception started = new IOException("the guest was handed over");

  private final AtomicReference<@Nullable Exception> failed = new AtomicReference<>();
  private MigrationListener listener = MigrationListener.NONE;
  private boolean used;
  private volatile boolean running;
  private volatile boolean told;

  private MigrationTarget(List<TargetStream> streams) {
    this.streams = streams;
    this.main = streams.get(0);
  }

  /**
   * Waits for the source's description of its guest, and reads it.
   *
   * @param connections all connections of the source, in any order
   * @return the destination; close it, which closes the connections
   * @throws MigrationException if a stream is damaged, or they are not all those of one migration;
   *     the connections are closed, and the source knows why if it can be told
   * @throws IOException if a connection breaks; likewise. The connections are closed after any
   *     other exception or error too, but not after a {@link StackOverflowError}: close them then
   * @throws IllegalArgumentException if there is no connection
   */
  public static MigrationTarget accept(Connection... connections) throws IOException {
    if (connections.length == 0) {
      throw new IllegalArgumentException("0 connections; at least 1");
    }
    List<TargetStream> streams = new ArrayList<>();
    try {
      for (Connection each : connections) {
        streams.add(new TargetStream(each));
      }
      return new MigrationTarget(inOrder(streams));
    } catch (StackOverflowError e) {
      throw e; // a close that is half made, where the stack ends, cannot be made again
    } catch (Throwable e) { // of connections, in other languages, any; and memory may run out
      Exception reason = StreamEnd.asKnown(e);
      streams.stream().filter(stream -> stream.index == 0).forEach(stream -> stream.refuse(reason));
      streams.forEach(TargetStream::close);
      for (Connection each : connections) {
        StreamEnd.cut(each);
      }
      throw e;
    }
  }

  private static List<TargetStream> inOrder(List<TargetStream> streams) throws MigrationException {
    TargetStream[] inOrder = new TargetStream[streams.size()];
    for (TargetStream stream : streams) {
      boolean fits =
          stream.streams == inOrder.length
              && stream.migration.equals(streams.get(0).migration)
              && stream.index >= 0
              && stream.index < inOrder.length
              && inOrder[stream.index] == null;
      if (!fits) {
        throw new MigrationException(
            Fault.BAD_CONTENT,
            String.format(
                Locale.ROOT,
                "connection %d of %d of migration %s does not belong to the %d that are here",
                stream.index,
                stream.streams,
                stream.migration,
                inOrder.length));
      }
      inOrder[stream.index] = stream;
    }
    return List.of(inOrder);
  }

  /** {@return the slots of the guest that comes} */
  public List<SlotShape> slots() {
    return main.slots;
  }

  /** {@return a copy of the bytes of {@code MigrationSource.greeting}} */
  public byte[] greeting() {
    return main.greeting.clone();
  }

  /**
   * Sets a listener for the progress.
   *
   * @param toTell the listener
   * @return this
   */
  public MigrationTarget listener(MigrationListener toTell) {
    listener = Objects.requireNonNull(toTell, "toTell");
    return this;
  }

  /**
   * Sets how many bytes the state of the machine may have. It is kept in memory until all of it is
   * there, so a destination that does not trust its source sets what its machine needs. A longer
   * state is refused when it comes, and the source keeps the guest. Default: 2^30.
   *
   * @param bytes from 0 to 2^30
   * @return this
   * @throws IllegalArgumentException if it is outside that
   */
  public MigrationTarget stateLimit(int bytes) {
    if (bytes < 0 || bytes > StreamLayout.MAX_STATE) {
      throw new IllegalArgumentException(
          "a limit of " + bytes + " bytes; from 0 to " + StreamLayout.MAX_STATE);
    }
    main.stateLimit = bytes;
    return this;
  }

  /**
   * Receives the guest. Otherwise as {@link #receive(GuestRam, MachineState, Messages.Handler,
   * Runnable)}, from a source without a check.
   *
   * @param ram slots as {@link #slots}, all zero
   * @param machine gets the rest of the guest's state, when all pages have been written
   * @param start runs the guest
   * @param <S> what the client calls a slot
   * @throws IOException if there is no guest
   */
  public <S> void receive(GuestRam<S> ram, MachineState machine, Runnable start)
      throws IOException {
    receive(ram, machine, null, start);
  }

  /**
   * Receives the guest and starts it. When this returns, the guest runs here, and not at the
   * source, whether or not the source {@linkplain #isSourceTold could be told}. When it throws, the
   * guest does not run here; the source is told why, if it can be.
   *
   * @param ram slots as {@link #slots}, all zero
   * @param machine gets the rest of the guest's state, when all pages have been written; an
   *     exception leaves the guest at the source
   * @param check the counterpart of the source's check; null: none
   * @param start runs the guest; called at most once. If it throws, the guest stays at the source
   * @param <S> what the client calls a slot
   * @throws MigrationException if a stream is damaged or ends too early, the source gave up, the
   *     slots are not those of the source, or only one end has a check
   * @throws IOException if a connection breaks, or the check throws it
   * @throws IllegalStateException if this was called before, or the client is that of a {@code
   *     SnapshotStore}, a {@code Rewind} or a {@code Reset}, or has taken a {@code BaseImage}
   */
  public <S> void receive(
      GuestRam<S> ram, MachineState machine, Messages.@Nullable Handler check, Runnable start)
      throws IOException {
    if (used) {
      throw new IllegalStateException("a destination receives one guest");
    }
    used = true;
    try {
      accept(ram, check != null);
      receiveStreams(ram);
      machine.restore(main.machineState());
      byte[][] digests = streams.stream().map(TargetStream::digest).toArray(byte[][]::new);
      main.out.send(FrameType.READY, StreamDigest.of(digests));
      if (check != null) {
        listener.phase(Phase.CHECKING);
        check.talk(new Messages(main.in, main.out));
      }
      listener.phase(Phase.HANDING_OVER);
      main.in.expect(FrameType.COMMIT);
      if (!failed.compareAndSet(null, started)) { // one of the two: a start, or a refusal
        throw new IOException("closed before the guest was started", failed.get());
      }
    } catch (Throwable e) { // of callbacks, in other languages, any
      fail(StreamEnd.asKnown(e));
      throw e;
    }
    start(start);
    running = true;
    try {
      main.out.send(FrameType.RUNNING, new byte[0]);
      told = true;
    } catch (IOException | RuntimeException | Error e) {
      return; // the guest runs here, and the source keeps its own stopped
    }
  }

  private void start(Runnable start) {
    try {
      start.run();
    } catch (Throwable e) {
      main.refuse(StreamEnd.asKnown(e));
      streams.forEach(TargetStream::cut);
      throw e;
    }
  }

  private void accept(GuestRam<?> ram, boolean checks) throws IOException {
    MigrationSource.sent(ram.client()); // or it is refused before any page has come
    if (!ram.shapes().equals(slots())) {
      throw new MigrationException(
          Fault.BAD_CONTENT,
          "the slots here are " + ram.shapes() + ", and those of the source " + slots());
    }
    if (checks != main.checked) {
      throw new MigrationException(
          Fault.BAD_CONTENT,
          "only the " + (checks ? "destination" : "source") + " has a check; both have to");
    }
    main.out.send(FrameType.ACCEPTED, new byte[0]);
    listener.phase(Phase.ROUNDS);
  }

  /** Each stream in a thread of its own, the first in this one. The first failure ends all. */
  private void receiveStreams(GuestRam<?> ram) throws IOException {
    List<Thread> threads = new ArrayList<>();
    for (TargetStream stream : streams.subList(1, streams.size())) {
      Thread thread =
          new Thread(
              () -> receive(stream, ram, MigrationListener.NONE), "migration-" + stream.index);
      thread.setDaemon(true);
      thread.start();
      threads.add(thread);
    }
    receive(main, ram, listener);
    boolean interrupted = false;
    for (int next = 0; next < threads.size(); ) {
      try {
        threads.get(next).join();
        next++;
      } catch (InterruptedException e) {
        interrupted = true;
        fail(new IOException("interrupted while the guest was received"));
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    Exception first = failed.get();
    if (first instanceof RuntimeException known) {
      throw known;
    }
    if (first instanceof IOException known) {
      throw known;
    }
  }

  private void receive(TargetStream stream, GuestRam<?> ram, MigrationListener told) {
    try {
      stream.receive(ram, told);
    } catch (IOException | RuntimeException e) {
      fail(TargetStream.understood(e));
    } catch (Throwable e) { // of a thread that nobody looks at
      fail(StreamEnd.asKnown(e));
    }
  }

  /** The first failure is told to the source. All connections are closed, so that no read waits. */
  private void fail(Exception e) {
    if (failed.compareAndSet(null, e)) {
      main.refuse(e);
      streams.forEach(TargetStream::cut);
    }
  }

  /** {@return whether the guest was handed over to this destination} */
  public boolean isRunning() {
    return running;
  }

  /** {@return whether the source was told that the guest runs here} */
  public boolean isSourceTold() {
    return told;
  }

  /**
   * Returns the conversation with the embedder at the source, after a hand-over.
   *
   * @return messages on the first connection
   * @throws IllegalStateException if no guest was handed over
   */
  public Messages messages() {
    if (!running) {
      throw new IllegalStateException("no guest was handed over");
    }
    return new Messages(main.in, main.out);
  }

  /**
   * Refuses the guest. The source keeps it, and its failure has the reason. Call it instead of
   * {@link #receive} if this end cannot make the machine; or during {@code receive}, to end it as
   * {@link #close} does. Once a guest was started or refused, this does nothing. The connections
   * are closed. From any thread.
   *
   * @param reason the reason for the source, of which the first 2,000 characters are sent
   */
  public void refuse(String reason) {
    if (!running) {
      fail(new IOException(reason));
    }
  }

  /**
   * Closes the connections. If no guest was started here yet, none will be, and the source keeps
   * it. If a guest was started and the source has not been told, the source is in doubt. From any
   * thread.
   */
  @Override
  public void close() {
    refuse("the destination was closed");
    streams.forEach(TargetStream::cut);
    streams.forEach(TargetStream::close);
  }
}
