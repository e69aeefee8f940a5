package dev.smudge.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** The kick's signal, and the mask that keeps it away, as the kernel tells of them. */
@EnabledOnOs(OS.LINUX)
@Timeout(60)
class SignalTest {
  private static final int O_RDONLY = 0;
  private static final long SIG_IGN = 1;
  private static final int REAL_TIME = 50; // that nobody uses

  /** A set of signals of this thread, a bit per signal, from its status. */
  private static long signals(String name) throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/thread-self/status"))) {
      if (line.startsWith(name + ":")) {
        return Long.parseUnsignedLong(line.substring(name.length() + 1).strip(), 16);
      }
    }
    throw new AssertionError("no line " + name);
  }

  @Test
  void send_toThisThread_doesNothing() throws IOException {
    KickSignal.send(Libc.currentThread());
    long handled = signals("SigCgt") & SigsetLayout.bit(KickSignal.number());
    assertEquals(SigsetLayout.bit(KickSignal.number()), handled);
  }

  @Test
  void send_threadIsInACall_endsTheCall(@TempDir Path directory) throws Exception {
    kickOutOfACall(directory);
  }

  /** Opening a FIFO blocks until somebody opens its other end, which nobody does. */
  private static void kickOutOfACall(Path directory) throws Exception {
    Path fifo = directory.resolve("fifo");
    assertEquals(0, new ProcessBuilder("mkfifo", fifo.toString()).start().waitFor());
    CompletableFuture<Long> target = new CompletableFuture<>();
    CompletableFuture<Integer> error = new CompletableFuture<>();
    CountDownLatch sent = new CountDownLatch(1);
    Thread thread =
        Thread.ofPlatform()
            .daemon()
            .start(() -> {
              MemorySegment errno = Libc.newErrno();
              target.complete(Libc.currentThread());
              int fd = Libc.open(errno, fifo.toString(), O_RDONLY);
              error.complete(fd < 0 ? Libc.errno(errno) : 0);
              awaitUninterrupted(sent); // The target of a signal has to be alive.
            });
    while (!error.isDone()) { // One that comes before the call is lost.
      assertFalse(Thread.interrupted(), "the call goes on");
      KickSignal.send(target.get());
      Thread.onSpinWait();
    }
    sent.countDown();
    thread.join();
    assertEquals(Errno.EINTR, error.get());
  }

  /**
   * Real-time signals that are pending count against a limit that all processes of the user share.
   * A kick gets through all the same.
   */
  @Test
  void send_queueOfTheUserIsFull_endsTheCall(@TempDir Path directory) throws Exception {
    ignore(REAL_TIME);
    CountDownLatch full = new CountDownLatch(1);
    CountDownLatch over = new CountDownLatch(1);
    CompletableFuture<Integer> refusal = new CompletableFuture<>();
    Thread hoarder =
        Thread.ofPlatform()
            .daemon()
            .start(() -> {
              new SignalMask().block(); // While it is blocked, even an ignored signal is queued.
              int error = 0;
              while (error == 0) {
                error = Libc.signal(Libc.currentThread(), REAL_TIME);
              }
              refusal.complete(error);
              full.countDown();
              awaitUninterrupted(over);
            });
    full.await();
    try {
      assertEquals(Errno.EAGAIN, refusal.get());
      kickOutOfACall(directory);
    } finally {
      over.countDown();
      hoarder.join();
    }
  }

  private static void ignore(int signal) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment action = arena.allocate(SigactionLayout.SIZE, Long.BYTES);
      action.set(ValueLayout.JAVA_LONG, SigactionLayout.HANDLER_OFFSET, SIG_IGN);
      assertEquals(0, Libc.sigaction(Libc.newErrno(), signal, action, MemorySegment.NULL));
    }
  }

  private static void awaitUninterrupted(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void block_signalIsSent_waitsUntilRestore() throws IOException {
    long kick = SigsetLayout.bit(KickSignal.number());
    long before = signals("SigBlk");
    assertEquals(0, before & kick);
    SignalMask mask = new SignalMask();
    long blocked;
    long pending;
    mask.block();
    try {
      KickSignal.send(Libc.currentThread());
      blocked = signals("SigBlk");
      pending = signals("SigPnd");
    } finally {
      mask.restore();
    }
    assertEquals(kick, blocked & kick);
    assertEquals(kick, pending & kick);
    assertEquals(0, signals("SigPnd") & kick);
    assertEquals(before, signals("SigBlk"));
  }

  @Test
  void block_signalsOfInstructions_stayOpen() throws IOException {
    long instructions = 0;
    for (int signal : new int[] {4, 5, 7, 8, 11}) { // ILL, TRAP, BUS, FPE, SEGV
      instructions |= SigsetLayout.bit(signal);
    }
    SignalMask mask = new SignalMask();
    long blocked;
    mask.block();
    try {
      blocked = signals("SigBlk");
    } finally {
      mask.restore();
    }
    assertEquals(0, blocked & instructions);
    assertTrue((blocked & SigsetLayout.bit(2)) != 0, "SIGINT is blocked");
  }

  @Test
  void block_twice_restoresWhatWasBefore() throws IOException {
    long before = signals("SigBlk");
    SignalMask outer = new SignalMask();
    SignalMask inner = new SignalMask();
    outer.block();
    try {
      long outside = signals("SigBlk");
      inner.block();
      inner.restore();
      assertEquals(outside, signals("SigBlk"));
    } finally {
      outer.restore();
    }
    assertEquals(before, signals("SigBlk"));
  }
}
