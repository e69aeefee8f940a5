package dev.smudge.migration;

import dev.smudge.bitmap.PageSet;
import dev.smudge.migration.MigrationException.Fault;
import dev.smudge.migration.MigrationListener.Phase;
import dev.smudge.migration.MigrationResult.End;
import dev.smudge.migration.MigrationSource.AtLimit;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.RunConsumer;
import dev.smudge.sync.internal.stack.StackRoom;
import dev.smudge.sync.pages.PagePort;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * One attempt of a {@link MigrationSource}: rounds, then the switch-over.
 *
 * <p>Each stream sends its share of a batch, in a thread of its own; stream 0 in the thread that
 * migrates. A share is made of whole chunks, and which stream a chunk belongs to never changes. A
 * batch is committed only when all of it has been handed to the connections.
 */
final class SourceRun<S> {
  private final MigrationSource<S> source;
  private final GuestRam<S> ram;
  private final MigratingGuest guest;
  private final MigrationListener listener;
  final MigrationResult result = new MigrationResult();
  private final SourceStreams streams = new SourceStreams();
  private final Map<S, PageSet> again = new HashMap<>(); // sent by an earlier attempt
  private final Set<S> slots;
  private final AtomicLong sentBytes = new AtomicLong();
  private final long began = System.nanoTime();
  private long lastTake = began;
  private boolean throttled;
  private volatile boolean stopped; // the guest, for the last round
  private @Nullable Messages messages; // for after the hand-over
  private @Nullable MigrationProgress progress; // of this round, at its begin

  SourceRun(MigrationSource<S> source) {
    this.source = source;
    this.ram = source.ram;
    this.slots = new HashSet<>(ram.slots());
    this.guest = source.guest;
    this.listener = source.listener;
  }

  @Nullable Messages messages() {
    return result.end == End.HANDED_OVER ? messages : null;
  }

  MigrationResult migrate(Connection first, Connection[] more) throws InterruptedException {
    try {
      open(first, more);
      try {
        greet();
        preCopy();
        switchOver();
      } catch (IOException | RuntimeException | InterruptedException e) {
        if (result.end == End.STAYED) {
          streams.get(0).abort(e);
        }
        throw e;
      }
    } catch (IOException | RuntimeException e) {
      result.failure = asCancelled(e);
    } catch (Throwable e) { // other languages throw checked exceptions, too
      if (result.end == End.STAYED && (e instanceof Error || e instanceof InterruptedException)) {
        throw e;
      }
      result.failure = StreamEnd.asKnown(e); // whoever calls has to know that it may run there
    } finally {
      try {
        if (throttled) {
          guest.limitDirtyRate(Long.MAX_VALUE);
        }
      } finally {
        streams.close();
        streams.cutFrom(result.end == End.HANDED_OVER ? 1 : 0);
      }
    }
    return result;
  }

  /** A cancel that had to close the connections shows as what that broke. */
  private Exception asCancelled(Exception failure) {
    boolean known = failure instanceof MigrationException e && e.fault() == Fault.CANCELLED;
    if (known || !source.cancelled || result.end != End.STAYED) {
      return failure;
    }
    MigrationException cancelled = cancelled();
    cancelled.initCause(failure);
    return cancelled;
  }

  private static MigrationException cancelled() {
    return new MigrationException(Fault.CANCELLED, "the migration was cancelled");
  }

  /** See {@link MigrationSource#cancel}, which has set the flag. */
  void cancel() {
    streams.cancel();
  }

  private void open(Connection first, Connection[] more) throws IOException {
    for (S slot : ram.slots()) {
      PageSet copy = new PageSet(ram.pages().pageCount(slot));
      copy.addAll(source.sent.of(ram, slot));
      again.put(slot, copy);
    }
    streams.add(first, more);
  }

  private void greet() throws IOException {
    listener.phase(Phase.GREETING);
    UUID id = source.newId();
    for (int i = 0; i < streams.size(); i++) {
      streams
          .get(i)
          .greet(id, streams.size(), i == 0 ? ram : null, source.check != null, source.greeting);
    }
    streams.get(0).in.expect(FrameType.ACCEPTED);
  }

  /** Rounds while the guest runs. */
  private void preCopy() throws IOException, InterruptedException {
    listener.phase(Phase.ROUNDS);
    Convergence convergence =
        new Convergence(
            source.minRounds,
            source.threshold,
            TimeUnit.NANOSECONDS.convert(source.downtime) / 1e6);
    for (boolean last = false; !last; ) {
      guest.check();
      checkCancelled();
      long taken = System.nanoTime();
      try (DirtyBatch<S> batch = ram.client().take()) {
        long left = bytes(batch);
        double dirtyPerSecond = left * 1e9 / Math.max(1, taken - lastTake);
        result.bytesLeft = left;
        result.estimatedDowntimeMillis = Convergence.millisToSend(result.rounds, left);
        last =
            source.forced
                || convergence.isReached(result.rounds, batch.pageCount(), left)
                || isAtLimit();
        if (!last) {
          throttle(left, dirtyPerSecond);
          send(batch, taken, false);
          batch.commit();
          lastTake = taken;
        }
      } // what is left to the last round is dirty again
    }
  }

  /** {@return whether the guest is to be stopped because time or rounds are used up} */
  private boolean isAtLimit() throws MigrationException {
    boolean used = result.rounds.size() >= source.maxRounds || isTimeUsedUp();
    if (used && source.atLimit == AtLimit.CANCEL) {
      throw notConverged();
    }
    return used;
  }

  private boolean isTimeUsedUp() {
    return System.nanoTime() - began > TimeUnit.NANOSECONDS.convert(source.timeout);
  }

  private MigrationException notConverged() {
    return new MigrationException(
        Fault.NOT_CONVERGED,
        String.format(
            Locale.ROOT,
            "not converged after %d rounds and %d ms: %,d bytes are dirty, which would take about"
                + " %.0f ms",
            result.rounds.size(),
            (System.nanoTime() - began) / 1_000_000,
            result.bytesLeft,
            result.estimatedDowntimeMillis));
  }

  private void throttle(long left, double dirtyPerSecond) {
    long least = source.leastLimit;
    if (least == Long.MAX_VALUE) {
      return;
    }
    long limit = Convergence.limit(result.rounds, left, result.limit, least, dirtyPerSecond);
    if (limit < result.limit) {
      result.limit = limit;
      throttled = true;
      guest.limitDirtyRate(limit);
    }
  }

  /** The guest stops; the last round; the destination runs. */
  private void switchOver() throws IOException, InterruptedException {
    listener.phase(Phase.STOPPING);
    try {
      stopGuest();
      long stoppedAt = System.nanoTime();
      stopped = true;
      listener.phase(Phase.LAST_ROUND);
      byte[] state = source.machine.save(); // first: it may write RAM
      try (DirtyBatch<S> last = ram.client().take()) {
        send(last, stoppedAt, true);
        end(state);
        result.lastRoundNanos = System.nanoTime() - stoppedAt;
        check();
        listener.phase(Phase.HANDING_OVER);
        checkCancelled();
        if (!streams.beginCommit()) {
          throw cancelled();
        }
        commit();
        result.downtimeNanos = System.nanoTime() - stoppedAt - result.checkNanos;
        last.commit();
      }
    } finally {
      if (result.end == End.STAYED) {
        guest.start();
      }
    }
  }

  /** A vCPU that waits because of its limit stops late, so the limit goes first. */
  private void stopGuest() throws IOException, InterruptedException {
    if (throttled) {
      guest.limitDirtyRate(Long.MAX_VALUE);
      throttled = false;
    }
    long asked = System.nanoTime();
    guest.stop();
    guest.check();
    result.stopNanos = System.nanoTime() - asked;
  }

  /** Sends the rest, and waits until the destination has checked all and could run the guest. */
  private void end(byte[] state) throws IOException, InterruptedException {
    streams.get(0).state(state);
    byte[][] digests = new byte[streams.size()][];
    streams.inAll((stream, index) -> digests[index] = stream.end(index == 0 ? state.length : 0));
    FrameReader in = streams.get(0).in;
    byte[] theirs = FrameReader.rest(in.expect(FrameType.READY));
    if (!Arrays.equals(StreamDigest.of(digests), theirs)) {
      throw new MigrationException(Fault.BAD_DIGEST, "the destination has read another stream");
    }
  }

  private void check() throws IOException {
    Messages.Handler check = source.check;
    if (check != null) {
      listener.phase(Phase.CHECKING);
      long start = System.nanoTime();
      try {
        check.talk(new Messages(streams.get(0).in, streams.get(0).out));
      } finally {
        result.checkNanos = System.nanoTime() - start;
      }
    }
  }

  private void commit() throws IOException {
    StackRoom.check(StackRoom.IO + 3); // a stack that ends in the send would leave a doubt
    messages =
        new Messages(streams.get(0).in, streams.get(0).out); // now: memory may be short later
    result.end = End.IN_DOUBT;
    try {
      streams.get(0).out.send(FrameType.COMMIT, new byte[0]);
      streams.get(0).in.expect(FrameType.RUNNING);
    } catch (MigrationException e) {
      if (e.fault() == Fault.PEER_GAVE_UP) {
        result.end = End.STAYED; // it says that it does not run the guest
      }
      throw e;
    }
    result.end = End.HANDED_OVER;
  }

  private void checkCancelled() throws MigrationException {
    if (source.cancelled) {
      throw cancelled();
    }
  }

  /** Before each frame. A round that takes too long is not waited for, unless it is the last. */
  private void checkMayGoOn() throws IOException {
    checkCancelled();
    streams.checkFailed();
    if (!stopped && source.atLimit == AtLimit.CANCEL && isTimeUsedUp()) {
      throw notConverged();
    }
  }

  private long bytes(DirtyBatch<S> batch) {
    long[] sum = {0};
    batch.forEachRun((slot, first, count) -> sum[0] += count * ram.pages().pageBytes(slot));
    return sum[0];
  }

  /** What each stream sends of a batch. No lambdas over numbers (docs/design.md 3.8). */
  private SourceStreams.Sending sharing(DirtyBatch<S> batch, boolean first) {
    return new SourceStreams.Sending() {
      @Override
      public void send(SourceStream stream, int index) throws IOException {
        RunConsumer<S, IOException> share =
            new RunConsumer<>() {
              @Override
              public void accept(S slot, long firstPage, long pageCount) throws IOException {
                share(stream, index, slot, firstPage, pageCount);
              }
            };
        batch.forEachRun(share);
        if (first) {
          sendAgain(share);
        }
        stream.out.flush();
      }
    };
  }

  /** Sends the pages of a batch, and hands them all to the connections. */
  private void send(DirtyBatch<S> batch, long taken, boolean last)
      throws IOException, InterruptedException {
    streams.get(0).checkPeer();
    int number = result.rounds.size() + 1;
    note(batch);
    long pages = batch.pageCount();
    long[] more = {0, 0}; // pages, bytes, of an earlier attempt
    if (number == 1) {
      batch.forEachRun((slot, first, count) -> removeFromAgain(slot, first, count));
      again.forEach((slot, set) -> {
        more[0] += set.size();
        more[1] += set.size() * ram.pages().pageBytes(slot);
      });
    }
    long roundBytes = bytes(batch) + more[1];
    long before = streams.bytes();
    progress = begin(number, roundBytes, taken);
    listener.progress(progress);
    FrameWriter out = streams.get(0).out;
    out.begin().putInt(number);
    out.end(FrameType.ROUND);
    streams.inAll(sharing(batch, number == 1));
    Round round =
        new Round(
            number,
            pages + more[0],
            roundBytes,
            streams.bytes() - before,
            System.nanoTime() - taken,
            batch.barrierNanos(),
            taken - lastTake,
            last);
    result.rounds.add(round);
    listener.roundEnds(round);
  }

  /** What is sent now has to be sent again by a later attempt, if this one fails. */
  private void note(DirtyBatch<S> batch) throws MigrationException {
    List<String> foreign = new ArrayList<>();
    batch.forEachRun((slot, first, count) -> {
      if (!slots.contains(slot)) {
        foreign.add(slot.toString());
      } else {
        source.sent.of(ram, slot).addRange(first, count);
      }
    });
    for (S slot : slots) {
      try {
        ram.client().markForOthers(slot, 0, 0); // marks nothing; a removed slot is refused
      } catch (IllegalArgumentException e) {
        foreign.add(slot + " was removed");
      }
    }
    if (!foreign.isEmpty()) {
      throw new MigrationException(
          Fault.BAD_CONTENT, "the memory map changed while the guest moved: " + foreign.get(0));
    }
  }

  private void removeFromAgain(S slot, long first, long count) {
    PageSet set = again.get(slot);
    if (set != null) {
      set.removeRange(first, count);
    }
  }

  private void sendAgain(RunConsumer<S, IOException> share) throws IOException {
    for (Map.Entry<S, PageSet> each : again.entrySet()) {
      PageSet set = each.getValue();
      long end = set.pageCount();
      for (long page = set.nextPage(0); page >= 0; ) {
        long past = set.endOfRun(page, end);
        share.accept(each.getKey(), page, past - page);
        page = past < end ? set.nextPage(past) : -1;
      }
    }
  }

  /** Of a run, the chunks that belong to a stream. */
  private void share(SourceStream stream, int index, S slot, long first, long count)
      throws IOException {
    PagePort<S> pages = ram.pages();
    int bytes = pages.pageBytes(slot);
    int chunk = PageFrames.framePages(bytes);
    long end = first + count;
    for (long page = first; page < end; ) {
      long past = Math.min(end, (page / chunk + 1) * chunk);
      if ((page / chunk + pages.slotId(slot)) % streams.size() == index) {
        checkMayGoOn();
        stream.frames.send(stream.out, pages, slot, page, (int) (past - page), source.compress);
        long sum = sentBytes.addAndGet((past - page) * bytes);
        MigrationProgress at = progress;
        if (index == 0 && at != null) {
          listener.progress(at.sent(sum));
        }
      }
      page = past;
    }
  }

  private MigrationProgress begin(int number, long roundBytes, long taken) {
    return new MigrationProgress(
        number,
        roundBytes,
        sentBytes.get(),
        roundBytes,
        Convergence.bytesPerSecond(result.rounds),
        roundBytes * 1e9 / Math.max(1, taken - lastTake),
        Convergence.millisToSend(result.rounds, roundBytes),
        result.limit);
  }
}
