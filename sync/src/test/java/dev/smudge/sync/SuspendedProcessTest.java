package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** A process that is stopped for longer than the timeout, by a signal, blames nobody for that. */
@EnabledOnOs(OS.LINUX)
@Timeout(60)
final class SuspendedProcessTest {
  /** Of the class path and the module path that this JVM has; where these tests are, first. */
  private static String classPath() {
    return Stream.of("target/classes", "target/test-classes")
            .map(path -> Path.of(path).toAbsolutePath().toString())
            .collect(Collectors.joining(File.pathSeparator))
        + File.pathSeparator
        + System.getProperty("java.class.path", "")
        + File.pathSeparator
        + System.getProperty("jdk.module.path", "");
  }

  private static Process start() throws Exception {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-XX:TieredStopAtLevel=1", "-cp", classPath()));
    command.add(SuspendedGuest.class.getName());
    return new ProcessBuilder(command).redirectErrorStream(true).start();
  }

  @Test
  void barrier_processIsStoppedForLongerThanTheTimeout_blamesNobody() throws Exception {
    Process process = start();
    try (BufferedReader output =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      assertEquals("ready", output.readLine());
      String stops =
          "for i in 1 2 3 4; do kill -STOP $0 || exit; sleep 1.5; kill -CONT $0; sleep 0.2; done";
      Process stopper =
          new ProcessBuilder("bash", "-c", stops, String.valueOf(process.pid())).start();
      stopper.waitFor(); // sooner, if the process is gone
      if (process.isAlive()) {
        process.getOutputStream().write('\n');
        process.getOutputStream().flush();
      }
      String rest = output.lines().collect(Collectors.joining("\n"));
      assertEquals(0, process.waitFor(), rest);
      assertTrue(Objects.requireNonNull(rest).endsWith("done"), rest);
    } finally {
      process.destroyForcibly();
    }
  }
}
