package dev.smudge.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** A JVM that denies native access says which flag grants it, and that flag does. */
@EnabledOnOs(OS.LINUX)
@Timeout(60)
class NativeAccessTest {
  private static final String MAIN = "target/classes"; // Tests run in the directory of the module.
  private static final String TEST = "target/test-classes";
  private static final String DENY = "--illegal-native-access=deny";

  private record Outcome(int exit, String output) {}

  private static Outcome run(List<String> arguments) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(arguments);
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return new Outcome(process.waitFor(), output);
  }

  private static List<String> onClassPath(String... flags) {
    List<String> arguments = new ArrayList<>(List.of(flags));
    arguments.addAll(List.of("-cp", MAIN + ":" + TEST, NativeAccessProbe.class.getName()));
    return arguments;
  }

  private static List<String> onModulePath(String... flags) {
    List<String> arguments = new ArrayList<>(List.of(flags));
    arguments.addAll(
        List.of(
            "--module-path",
            MAIN,
            "--patch-module",
            "dev.smudge.linux=" + TEST,
            "-m",
            "dev.smudge.linux/" + NativeAccessProbe.class.getName()));
    return arguments;
  }

  /** Each call says so, and each time: also where it was what a class is initialized with. */
  private static void denied(String flag, List<String> arguments) throws Exception {
    Outcome outcome = run(arguments);
    assertEquals(0, outcome.exit, outcome::output);
    String refusal = "Smudge may not call Linux: start the JVM with --enable-native-access=";
    assertEquals((refusal + flag + "\n").repeat(6), outcome.output);
  }

  private static void granted(List<String> arguments) throws Exception {
    Outcome outcome = run(arguments);
    assertEquals(0, outcome.exit, outcome::output);
    String pages = "pages of " + Libc.pageSize() + " bytes\n";
    assertTrue(outcome.output.startsWith(pages + pages + "opened 0\nopened 0\n"), outcome::output);
  }

  @Test
  void classPath_denied_namesTheFlag() throws Exception {
    denied("ALL-UNNAMED", onClassPath(DENY));
  }

  @Test
  void classPath_granted_works() throws Exception {
    granted(onClassPath(DENY, "--enable-native-access=ALL-UNNAMED"));
  }

  @Test
  void modulePath_denied_namesTheFlag() throws Exception {
    denied("dev.smudge.linux", onModulePath(DENY));
  }

  @Test
  void modulePath_granted_works() throws Exception {
    granted(onModulePath(DENY, "--enable-native-access=dev.smudge.linux"));
  }
}
