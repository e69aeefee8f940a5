package dev.smudge.examples;

import dev.smudge.sync.DirtyLog;
import java.util.concurrent.CompletionException;
import org.jspecify.annotations.Nullable;

/** The output of a program that runs from beginning to end in one place; run once, when asked. */
final class UninterruptedRun {
  private @Nullable Transcript transcript;

  /**
   * Returns the output.
   *
   * @param program the same at every call
   * @return what it prints
   * @throws CompletionException if its guest fails
   */
  synchronized Transcript of(Program program) {
    Transcript known = transcript;
    if (known != null) {
      return known;
    }
    Transcript output = new Transcript();
    Program unpaced = program.unpaced();
    try (Machine machine = unpaced.machine(DirtyLog.builder(), 0)) {
      unpaced.addSlots(machine.memory());
      try (Guest guest = unpaced.boot(machine, output)) {
        guest.start();
        guest.completion().join();
      }
    }
    transcript = output;
    return output;
  }
}
