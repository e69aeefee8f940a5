package dev.smudge.testkit;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Runs a program of the tests in a JVM of its own: for what a flag of the JVM decides. */
public final class OtherJvm {
  private OtherJvm() {}

  /**
   * Runs the {@code main} of a class on the class path, where no module is named.
   *
   * @param program class of the module that is tested
   * @param flags of the JVM
   * @return what it has printed, to both streams
   * @throws AssertionError if it ends with another number than 0; the message is what it has
   *     printed
   */
  public static String run(Class<?> program, String... flags)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of(flags));
    command.addAll(List.of("-cp", classPath(), program.getName()));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    int exit = process.waitFor();
    if (exit != 0) {
      throw new AssertionError(program + " has ended with " + exit + ": " + output);
    }
    return output;
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
