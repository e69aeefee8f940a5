package dev.smudge.testbase;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Runs a program of the tests in a JVM of its own: for what a flag of the JVM decides. */
public final class OtherJvm {
  private static final int MOST_SECONDS = 250;

  private OtherJvm() {}

  /**
   * Runs the {@code main} of a class on the class path, where no module is named.
   *
   * @param program class of the module that is tested
   * @param flags of the JVM
   * @param arguments of the program
   * @return what it has printed, to both streams
   * @throws AssertionError if it does not end, or ends with another number than 0; the message is
   *     what it has printed
   */
  public static String run(Class<?> program, List<String> flags, String... arguments)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(flags);
    command.addAll(List.of("-cp", classPath(), program.getName()));
    command.addAll(List.of(arguments));
    Path printed = Files.createTempFile("smudge-", ".output");
    try {
      Process process =
          new ProcessBuilder(command)
              .redirectErrorStream(true)
              .redirectOutput(printed.toFile())
              .start();
      boolean ended;
      try {
        ended = process.waitFor(MOST_SECONDS, TimeUnit.SECONDS);
      } finally {
        process.destroyForcibly();
      }
      String output = Files.readString(printed, StandardCharsets.UTF_8);
      if (!ended) {
        throw new AssertionError(program + " does not end: " + output);
      }
      if (process.exitValue() != 0) {
        throw new AssertionError(
            program + " has ended with " + process.exitValue() + ": " + output);
      }
      return output;
    } finally {
      Files.delete(printed);
    }
  }

  /** Tests run in the directory of the module. */
  private static String classPath() {
    return Stream.of(
            "target/test-classes",
            "target/classes",
            System.getProperty("java.class.path", ""),
            System.getProperty("jdk.module.path", ""))
        .filter(part -> !part.isEmpty())
        .collect(Collectors.joining(File.pathSeparator));
  }
}
