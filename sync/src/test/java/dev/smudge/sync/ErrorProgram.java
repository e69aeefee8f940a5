package dev.smudge.sync;

import dev.smudge.testbase.StackSqueeze;

/**
 * One operation of {@link ErrorAtEveryPointTest} in a JVM that has just started, in all modes. How
 * much stack a call takes changes as it is compiled: here some of it ends in places where it never
 * does later on.
 */
final class ErrorProgram {
  private ErrorProgram() {}

  /** The operation; and, for its first call to be one without stack, the only mode. */
  public static void main(String[] args) {
    ErrorOperation operation = named(args[0]);
    StackSqueeze.cold = args.length > 1;
    for (Mode mode : Mode.values()) {
      if (operation.isIn(mode) && (args.length == 1 || mode.name().equals(args[1]))) {
        operation.stackEndsAtEveryCall(mode);
      }
    }
  }

  private static ErrorOperation named(String name) {
    for (ErrorOperation operation : ErrorOperation.all()) {
      if (operation.name().equals(name)) {
        return operation;
      }
    }
    throw new IllegalArgumentException("no operation " + name);
  }
}
