package dev.smudge.examples;

import dev.smudge.core.GuestMemory;
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
    try (GuestMemory memory = GuestMemory.create()) {
      unpaced.addSlots(memory);
      try (Guest guest = unpaced.boot(memory, output)) {
        guest.start();
        guest.completion().join();
      }
    }
    transcript = output;
    return output;
  }
}
