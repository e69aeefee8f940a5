package dev.smudge.core;

import java.util.List;
import java.util.Random;

/** The atomics, and what each has to do to a value. */
enum AtomicOperation {
  GET,
  PUT,
  COMPARE_AND_EXCHANGE,
  SET,
  ADD,
  AND,
  OR,
  XOR;

  private static final List<AtomicOperation> ALL = List.of(values());

  static AtomicOperation any(Random random) {
    return ALL.get(random.nextInt(ALL.size()));
  }

  /** Runs it; returns what was there before. */
  long run(VcpuAtomics atomics, long address, int width, long expected, long operand) {
    return switch (this) {
      case GET -> atomics.getVolatile(address, width);
      case PUT -> {
        long before = atomics.getVolatile(address, width);
        atomics.putVolatile(address, width, operand);
        yield before;
      }
      case COMPARE_AND_EXCHANGE -> atomics.compareAndExchange(address, width, expected, operand);
      case SET -> atomics.getAndSet(address, width, operand);
      case ADD -> atomics.getAndAdd(address, width, operand);
      case AND -> atomics.getAndAnd(address, width, operand);
      case OR -> atomics.getAndOr(address, width, operand);
      case XOR -> atomics.getAndXor(address, width, operand);
    };
  }

  boolean writes(long before, long expected) {
    return switch (this) {
      case GET -> false;
      case COMPARE_AND_EXCHANGE -> before == expected;
      default -> true;
    };
  }

  /** What is there afterwards if it writes; the low bytes count. */
  long result(long before, long operand) {
    return switch (this) {
      case GET -> before;
      case PUT, SET, COMPARE_AND_EXCHANGE -> operand;
      case ADD -> before + operand;
      case AND -> before & operand;
      case OR -> before | operand;
      case XOR -> before ^ operand;
    };
  }
}
