package dev.smudge.sync;

import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;

/** A thread that does what the test says, one step at a time; between two steps it does nothing. */
public final class GuestThread implements AutoCloseable {
  /** A step. */
  public interface Step {
    void run() throws Exception;
  }

  private final ExecutorService executor;

  public GuestThread(String name) {
    this(task -> new Thread(task, name));
  }

  public GuestThread(ThreadFactory factory) {
    executor = Executors.newSingleThreadExecutor(factory);
  }

  /** Begins a step. */
  public Future<?> begin(Step step) {
    return executor.submit(() -> {
      step.run();
      return null;
    });
  }

  /** Does a step; what it throws comes through. */
  public void run(Step step) {
    end(begin(step));
  }

  /** Begins a step that gives a value. */
  public <T> Future<T> beginCall(Callable<T> step) {
    return executor.submit(step);
  }

  /** Waits for a step; what it throws comes through. */
  public static <T> T end(Future<T> step) {
    try {
      return step.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RuntimeException r) {
        throw r;
      }
      if (e.getCause() instanceof Error r) {
        throw r;
      }
      throw new IllegalStateException(e.getCause());
    }
  }

  /** Waits for a condition, without a limit: the limit is the test class's. */
  public static void await(BooleanSupplier condition) {
    while (!condition.getAsBoolean()) {
      LockSupport.parkNanos(20_000);
    }
  }

  /** Waits for a latch where a checked exception is of no use. */
  public static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @Override
  public void close() {
    executor.shutdownNow();
  }
}
