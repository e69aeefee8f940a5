package dev.smudge.sync.inhibitor;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.GuestThread;
import dev.smudge.sync.error.VcpuException;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.function.Executable;

/** An inhibitor, one that is impatient, and threads that enter and inhibit. */
abstract class AccessInhibitorCase {
  final ConcurrentLinkedQueue<Throwable> errors = new ConcurrentLinkedQueue<>();

  final AccessInhibitor inhibitor = AccessInhibitor.create(Duration.ofSeconds(30), errors::add);

  final AccessInhibitor impatient = AccessInhibitor.create(Duration.ofMillis(30), errors::add);

  final GuestThread guest = new GuestThread("guest");
  final GuestThread changer = new GuestThread("changer");
  final AtomicInteger kicks = new AtomicInteger();

  @AfterEach
  void close() {
    guest.close();
    changer.close();
  }

  static void assertFails(String part, Executable call) {
    VcpuException e = assertThrows(VcpuException.class, call);
    assertTrue(String.valueOf(e.getMessage()).contains(part), e.getMessage());
  }

  /** Waits until a thread sleeps in one of the inhibitor's waits. */
  static void awaitAsleep(Thread thread) {
    GuestThread.await(() -> isAsleep(thread));
  }

  /** Waits until a thread waits at a latch. */
  static void awaitAtLatch(Thread thread) {
    GuestThread.await(
        () -> Arrays.toString(thread.getStackTrace()).contains("CountDownLatch.await"));
  }

  static boolean isAsleep(Thread thread) {
    return thread.getState() == Thread.State.TIMED_WAITING
        && Arrays.stream(thread.getStackTrace())
            .anyMatch(f ->
                f.getMethodName().equals("sleep") && f.getClassName().endsWith("AccessInhibitor"));
  }

  static Thread threadOf(GuestThread thread) {
    return GuestThread.end(thread.beginCall(Thread::currentThread));
  }

  /** Begins to enter, and waits until the thread waits. */
  Future<?> beginEnterAndWait(InhibitableAccess access) {
    Thread thread = threadOf(guest);
    Future<?> entering = guest.begin(access::enter);
    awaitAsleep(thread);
    return entering;
  }
}
