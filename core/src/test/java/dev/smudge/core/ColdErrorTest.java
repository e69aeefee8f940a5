package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.ErrorOperations.Operation;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * As {@link ErrorAtEveryPointTest}, in a JVM of its own in which little is compiled, or nothing:
 * how much of the stack a call takes depends on that, and so between which calls it ends. And where
 * the call is cut short before it was ever made: what the JVM links or initializes there for the
 * first time must not be of no use ever after.
 */
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@Tag("once")
class ColdErrorTest {
  /**
   * Cuts operations short.
   *
   * @param operations their names; none: all
   */
  public static void main(String[] operations) throws Exception {
    List<String> names = List.of(operations);
    for (Arguments each : ErrorAtEveryPointTest.cases().toList()) {
      Operation operation = (Operation) each.get()[0];
      String kind = each.get()[1].toString();
      if ((names.isEmpty() || names.contains(operation.name()))
          && System.getProperty("smudge.kinds", kind).equals(kind)) {
        new ErrorAtEveryPointTest()
            .operation_stackEndsAtEveryCall_losesNothingAndLaterCallsWork(
                operation, (LogKind) each.get()[1]);
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "-Xint, 1, asynchronous write",
    "-Xint, 1, device long",
    "-Xint, 3, begin of an asynchronous write",
    "-XX:TieredStopAtLevel=1, 8, close of what was removed",
    "-XX:TieredStopAtLevel=1, 8, close of what was removed",
    "-XX:TieredStopAtLevel=1, 3, steps inside",
    "-Dsmudge.cold=true, 1, device long over a border",
    "-Dsmudge.cold=true, 1, seal",
    "-Dsmudge.cold=true, 1, task",
    "-Dsmudge.cold=true, 1, write as a client",
  })
  void operation_stackEndsAtEveryCall_losesNothingAndLaterCallsWork(
      String flag, int steps, String operation, @TempDir Path directory) throws Exception {
    Path output = directory.resolve("output");
    Process process =
        new ProcessBuilder(
                List.of(
                    Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                    flag,
                    "-XX:+UseSerialGC",
                    "--enable-native-access=ALL-UNNAMED",
                    "-Dsmudge.steps.of.a.frame=" + steps,
                    "-cp",
                    classPath(),
                    ColdErrorTest.class.getName(),
                    operation))
            .redirectErrorStream(true)
            .redirectOutput(output.toFile())
            .start();
    try {
      assertTrue(process.waitFor(100, TimeUnit.SECONDS), "it does not end");
    } finally {
      process.destroyForcibly();
    }
    assertEquals(0, process.exitValue(), Files.readString(output, StandardCharsets.UTF_8));
  }

  /** Tests run in the directory of the module. */
  private static String classPath() {
    List<String> places = new ArrayList<>(List.of("target/test-classes", "target/classes"));
    Stream.of("java.class.path", "jdk.module.path").map(System::getProperty).forEach(places::add);
    return places.stream()
        .filter(place -> place != null && !place.isEmpty())
        .collect(Collectors.joining(File.pathSeparator));
  }
}
