package dev.smudge.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The sources of all modules and their tests: how long they are, and what the pages call them. */
final class SourcesTest {
  private static final int MOST_LINES = 450;

  /** A class of tests, a method of it, or both; a method alone belongs to the class before it. */
  private static final Pattern NAMED =
      Pattern.compile("`(?=[\\w#])(\\w+(?:Test|Contract))?(?:#(\\w+?)(_?\\*)?)?`");

  private static final Pattern SUPERCLASS = Pattern.compile("class \\w+ extends (\\w+)");

  /** By the name of the class; where modules have the same name, their texts in a row. */
  private static final Map<String, String> SOURCES = new TreeMap<>();

  private static final List<String> TOO_LONG = new ArrayList<>();

  @BeforeAll
  static void read() throws IOException {
    for (Path module : children(ThisBuild.ROOT)) {
      Path sources = module.resolve("src");
      if (Files.isDirectory(sources)) {
        try (Stream<Path> files = Files.walk(sources)) {
          files.filter(file -> file.toString().endsWith(".java")).forEach(SourcesTest::read);
        }
      }
    }
    assertTrue(SOURCES.size() > 500, SOURCES.size() + " sources below " + ThisBuild.ROOT);
  }

  private static void read(Path file) {
    try {
      String text = Files.readString(file);
      SOURCES.merge(file.getFileName().toString().replace(".java", ""), text, String::concat);
      long lines = text.lines().count();
      if (lines > MOST_LINES) {
        TOO_LONG.add(ThisBuild.ROOT.relativize(file) + ": " + lines + " lines");
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static List<Path> children(Path directory) throws IOException {
    try (Stream<Path> children = Files.list(directory)) {
      return children.toList();
    }
  }

  @Test
  void files_ofCodeAndTests_areShort() {
    assertEquals(List.of(), TOO_LONG, "more than " + MOST_LINES + " lines");
  }

  @Test
  void tests_namedInThePages_areThere() throws IOException {
    List<String> missing = new ArrayList<>();
    int named = 0;
    for (Path page : children(ThisBuild.ROOT.resolve("docs"))) {
      if (page.toString().endsWith(".md")) {
        for (String line : Files.readAllLines(page)) {
          Matcher name = NAMED.matcher(line);
          String type = "";
          while (name.find()) {
            type = name.group(1) == null ? type : name.group(1);
            named++;
            if (!isThere(type, name.group(2), name.group(3) != null)) {
              missing.add(page.getFileName() + ": " + name.group() + " of " + type);
            }
          }
        }
      }
    }
    assertTrue(named > 200, named + " names of tests");
    assertEquals(List.of(), missing);
  }

  private static boolean isThere(String type, String method, boolean isPrefix) {
    String text = SOURCES.get(type);
    if (text == null || method == null) {
      return text != null;
    }
    if (Pattern.compile("void " + method + (isPrefix ? "" : "\\(")).matcher(text).find()) {
      return true;
    }
    return SUPERCLASS
        .matcher(text)
        .results()
        .anyMatch(superclass -> isThere(superclass.group(1), method, isPrefix));
  }
}
