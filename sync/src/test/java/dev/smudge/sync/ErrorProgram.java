package dev.smudge.sync;

/**
 * One operation of {@link ErrorAtEveryPointTest} in a JVM that has just started, in all modes. How
 * much stack a call takes changes as it is compiled: here some of it ends in places where it never
 * does later on.
 */
final class ErrorProgram {
  private ErrorProgram() {}

  public static void main(String[] args) {
    ErrorAtEveryPointTest.Operation operation = ErrorAtEveryPointTest.Operation.valueOf(args[0]);
    for (Mode mode : Mode.values()) {
      if (operation.isIn(mode)) {
        operation.stackEndsAtEveryCall(mode);
      }
    }
  }
}
