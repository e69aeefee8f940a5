package dev.smudge.core;

import dev.smudge.core.ErrorOperations.Operation;
import dev.smudge.testbase.StackSqueeze;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Errors that come again: one at a random point of an operation, the next in what comes after it,
 * which mends the first, and so on; then nothing is lost, and later calls work. They are of the
 * tracker, some in a row, of the error handler, and of a stack that ends. Some come while a write
 * that lands late, a batch or a pause is open, from round to round ({@link HeldOpen}). {@code
 * -Dsmudge.repeatedErrorSeconds} sets how long that goes on, {@code -Dsmudge.seed} the random
 * numbers.
 */
@Timeout(value = 1, unit = TimeUnit.DAYS)
@Tag("long")
class RepeatedErrorTest {
  private static final long NANOS =
      TimeUnit.SECONDS.toNanos(Long.getLong("smudge.repeatedErrorSeconds", 2));
  private static final int MOST_FRAMES = 400;
  private static final int ROUNDS_OF_A_WORLD = 300;

  private final List<Operation> operations = ErrorOperations.operations();
  private final List<String> script = new ArrayList<>(); // of this round
  private long rounds;
  private long errors;
  private long repeated;

  @ParameterizedTest
  @EnumSource
  void errorsInWhatMendsThem_loseNothingAndLaterCallsWork(LogKind kind) throws Exception {
    long seed = Long.getLong("smudge.seed", System.nanoTime());
    System.out.println("repeated errors, " + kind + ": -Dsmudge.seed=" + seed);
    StackSqueeze.withSmallStack(() -> run(kind, seed));
    System.out.println(
        "repeated errors, "
            + kind
            + ": "
            + rounds
            + " rounds, "
            + errors
            + " errors, "
            + repeated
            + " after another");
  }

  private void run(LogKind kind, long seed) {
    long end = System.nanoTime() + NANOS;
    for (Operation operation : operations) { // with plenty: what is linked at first use is linked
      try (ErrorWorld w = new ErrorWorld(kind)) {
        round(w, operation, new Random(seed), 0);
      }
    }
    for (long s = seed; goesOn(end); s++) {
      Random random = new Random(s);
      try (ErrorWorld w = new ErrorWorld(kind);
          HeldOpen held = new HeldOpen(w, random)) {
        for (int i = 0; i < ROUNDS_OF_A_WORLD && goesOn(end); i++) {
          script.clear();
          try {
            script.add(held.toString());
            Runnable change = held.next();
            if (change != null) {
              disturbed(w, change, random);
              held.mend();
            }
            Operation operation = operations.get(random.nextInt(operations.size()));
            if (held.allows(operation)) {
              script.add(operation.name());
              round(w, operation, random, 1 + random.nextInt(3));
            }
            held.check();
          } catch (Throwable e) {
            throw new AssertionError("seed " + s + ", round " + i + ": " + script + ": " + e, e);
          }
          rounds++;
        }
      }
    }
  }

  private boolean goesOn(long end) {
    return repeated < 10 || System.nanoTime() < end;
  }

  private void round(ErrorWorld w, Operation operation, Random random, int most) {
    w.write();
    if (random.nextInt(3) == 0) {
      w.armPages();
    }
    operation.before().accept(w);
    boolean before = false;
    if (most == 0) {
      operation.call().accept(w);
    }
    for (int i = 0; i < most; i++) {
      Runnable call = i == 0 ? () -> operation.call().accept(w) : next(w, operation, random);
      boolean thrown = disturbed(w, call, random);
      errors += thrown ? 1 : 0;
      repeated += thrown && before ? 1 : 0;
      before |= thrown;
    }
    operation.after().accept(w);
    w.vcpu.offline();
    w.check();
    w.errors.clear();
    if (random.nextInt(4) == 0) {
      if (!w.vcpuWaits) {
        w.checkPages();
      }
      w.closePages();
    }
  }

  /** What may come after an error: the same once more, or what mends it on its way. */
  private Runnable next(ErrorWorld w, Operation operation, Random random) {
    int which = random.nextInt(8);
    script.add("then " + which);
    return switch (which) {
      case 0 -> () -> w.memory.log().sync();
      case 1 -> () -> w.memory.log().rcu().barrier();
      case 2 -> () -> w.take(0);
      case 3 -> () -> w.take(1);
      case 4 -> w.vcpu::safepoint;
      case 5 ->
          w.vcpuWaits ? w.vcpu::offline : () -> w.vcpu.putLong(5 * ErrorWorld.PAGE, w.bytes[0]);
      case 6 -> () -> w.memory.device().putLong(5 * ErrorWorld.PAGE, w.bytes[0]);
      default -> operation.isRepeatable() ? () -> operation.call().accept(w) : w.vcpu::offline;
    };
  }

  /** Makes a call in which an error comes, perhaps; returns whether it has thrown one. */
  private boolean disturbed(ErrorWorld w, Runnable call, Random random) {
    boolean stack = random.nextInt(3) > 0;
    int frames = stack ? random.nextInt(MOST_FRAMES) : 10_000;
    if (!stack || random.nextInt(3) == 0) {
      w.tracker[0].untilFault = 1 + random.nextInt(random.nextBoolean() ? 3 : 12);
      w.tracker[0].faults = 1 + random.nextInt(3);
      w.tracker[0].error =
          switch (random.nextInt(4)) {
            case 0 -> new OutOfMemoryError("planted");
            case 1 -> new StackOverflowError("planted");
            case 2 -> new IOException("planted");
            default -> null;
          };
    }
    if (random.nextInt(3) == 0) {
      w.handlerThrows = new IOException("of the handler");
    }
    script.add((stack ? frames + " frames" : "") + " fault " + w.tracker[0].untilFault);
    @Nullable Throwable thrown = null;
    if (stack) {
      thrown = StackSqueeze.callAbove(frames, call::run);
    } else {
      try {
        call.run();
      } catch (Throwable e) {
        thrown = e;
      }
    }
    w.tracker[0].untilFault = -1;
    w.tracker[0].faults = 1;
    w.tracker[0].error = null;
    w.handlerThrows = null;
    script.add(String.valueOf(thrown));
    if (thrown instanceof LinkageError) {
      throw new AssertionError("what was linked is not any more", thrown);
    }
    return thrown != null;
  }
}
