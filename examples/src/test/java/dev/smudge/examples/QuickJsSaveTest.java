package dev.smudge.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * A real guest is saved in one JVM and goes on in the next, several times. What is saved is its
 * linear memory and the 8 bytes of {@link QuickJsGuest#state}; the interpreter of WebAssembly is
 * not stopped in the middle of a call.
 */
@Timeout(900)
class QuickJsSaveTest {
  @TempDir Path directory;

  /** What a guest printed in one JVM, and the state that was saved at the end. */
  private record Run(List<String> lines, long state) {}

  private Run run(long state, int untilCall) throws Exception {
    List<String> lines = output(true, state, untilCall);
    String last = lines.removeLast();
    assertTrue(last.startsWith(SavedQuickJs.SAVED), last);
    return new Run(lines, Long.parseLong(last.substring(SavedQuickJs.SAVED.length())));
  }

  /**
   * What a JVM prints until it ends; one that need not succeed is killed after a while, once it has
   * printed something.
   */
  private List<String> output(boolean succeeds, long state, int untilCall, String... digest)
      throws Exception {
    Path output = directory.resolve("output");
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(
        List.of("-XX:TieredStopAtLevel=1", "-cp", System.getProperty("java.class.path")));
    command.add(SavedQuickJs.class.getName());
    command.add(directory.resolve("states").toString());
    command.addAll(List.of(String.valueOf(state), String.valueOf(untilCall)));
    command.addAll(List.of(digest));
    Process process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(output.toFile())
            .start();
    try {
      boolean ended = process.waitFor(5, TimeUnit.SECONDS);
      while (!ended && (succeeds || Files.size(output) == 0)) { // on a busy machine
        ended = process.waitFor(1, TimeUnit.SECONDS);
      }
      List<String> lines = new ArrayList<>(Files.readAllLines(output));
      assertTrue(!succeeds || (ended && process.exitValue() == 0), lines::toString);
      return lines;
    } finally {
      process.destroyForcibly();
    }
  }

  @Test
  void savedAndRestoredInOtherJvms_printsWhatAnUninterruptedOnePrints_notWithoutOneDirtyPage()
      throws Exception {
    List<String> uninterrupted = new UninterruptedRun().of(new QuickJsProgram(6)).lines(0);
    Run first = run(-1, 2);
    Run second = run(first.state, 4);
    Run third = run(second.state, 6);
    assertEquals(
        uninterrupted,
        Stream.of(first, second, third).flatMap(each -> each.lines.stream()).toList());

    String digest = second.lines.getLast().replaceFirst(".*digest=", "");
    List<String> without = output(false, second.state, 6, digest);
    assertTrue(without.removeFirst().startsWith(SavedQuickJs.LEFT_OUT), without::toString);
    assertFalse(without.containsAll(third.lines), without::toString);
  }
}
