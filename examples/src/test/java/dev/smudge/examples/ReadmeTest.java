package dev.smudge.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.StringWriter;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Compiles and runs the samples of README.md and of the guides, and counts its commands. */
@Timeout(60)
final class ReadmeTest {
  private static final Pattern SAMPLE =
      Pattern.compile("```java\\n(.*?public class (\\w+).*?)```", Pattern.DOTALL);
  private static final Pattern COMMAND =
      Pattern.compile(
          "^## (Run it|Test it)\\n[^`]*(?:`[^`\\n]+`[^`]*)*```\\n(.+)\\n```$", Pattern.MULTILINE);

  private final String readme = read();

  private static String read() {
    try {
      return Files.readString(Path.of("..", "README.md"));
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void samples_compiledAndRun_endWithoutError(@TempDir Path directory) throws Exception {
    assertEquals(1, compileAndRun(readme, directory));
  }

  @ParameterizedTest
  @CsvSource({
    "new-emulator, 1",
    "own-ram, 2",
    "memory-map, 1",
    "dirty-rings, 1",
    "endive, 0",
    "save-states, 2",
    "rewind, 2",
    "reset, 1",
    "live-migration, 2",
    "code-cache, 2",
    "frame-buffer, 1",
    "many-guests, 2",
    "what-changed, 2"
  })
  void samplesOfAGuide_compiledAndRun_endWithoutError(
      String guide, int samples, @TempDir Path directory) throws Exception {
    String text = Files.readString(Path.of("..", "docs", "guide", guide + ".md"));
    assertEquals(samples, compileAndRun(text, directory));
  }

  @Test
  void readme_length_twoHundredLinesAtMost() {
    assertTrue(readme.lines().count() <= 200, readme.lines().count() + " lines");
  }

  /** Compiles and runs the samples of a text, and returns how many there are. */
  private static int compileAndRun(String text, Path directory) throws Exception {
    List<MatchResult> samples = SAMPLE.matcher(text).results().toList();
    JavaCompiler compiler = compilerOrFail(ToolProvider.getSystemJavaCompiler());
    for (MatchResult sample : samples) {
      Path source = directory.resolve(sample.group(2) + ".java");
      Files.writeString(source, sample.group(1));
      StringWriter errors = new StringWriter();
      try (var files = compiler.getStandardFileManager(null, null, null)) {
        List<String> options =
            List.of("-d", directory.toString(), "-cp", System.getProperty("java.class.path"));
        boolean compiled =
            compiler
                .getTask(errors, files, null, options, null, files.getJavaFileObjects(source))
                .call();
        assertTrue(compiled, sample.group(2) + ": " + errors);
      }
      try (URLClassLoader loader = new URLClassLoader(new URL[] {directory.toUri().toURL()})) {
        loader
            .loadClass(sample.group(2))
            .getMethod("main", String[].class)
            .invoke(null, (Object) new String[0]);
      }
    }
    return samples.size();
  }

  private static JavaCompiler compilerOrFail(JavaCompiler compiler) {
    assertNotNull(compiler, "no compiler: the tests need a JDK");
    return compiler;
  }

  @Test
  void commands_areTwo_oneLineEach() {
    List<String> names = COMMAND.matcher(readme).results().map(r -> r.group(1)).toList();
    assertEquals(List.of("Run it", "Test it"), names);
  }
}
