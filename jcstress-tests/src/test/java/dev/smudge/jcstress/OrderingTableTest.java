package dev.smudge.jcstress;

import static java.util.stream.Collectors.toCollection;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Keeps the ORDER comments of the sources, docs/ordering.md and the stress tests in step. */
final class OrderingTableTest {
  private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();
  private static final List<String> MODULES =
      List.of("bitmap", "ring", "sync", "core", "kvm", "endive");
  private static final Pattern ORDER = Pattern.compile("ORDER ((?:[A-Z]\\d+)(?:,\\s+[A-Z]\\d+)*)");
  private static final Pattern ROW =
      Pattern.compile("^\\| ([A-Z]\\d+) \\|.*\\| ([^|]+) \\|$", Pattern.MULTILINE);
  private static final Pattern STRESS_CLASS = Pattern.compile("`(\\w+Stress)`");

  private static Set<String> inSources = Set.of();
  private static Map<String, String> inTable = Map.of(); // id, last column
  private static Map<String, Set<String>> inStress = Map.of(); // class, ids

  @BeforeAll
  static void read() throws IOException {
    inSources = new TreeSet<>();
    for (String module : MODULES) {
      for (String text : javaFiles(ROOT.resolve(module + "/src/main/java")).values()) {
        inSources.addAll(ids(text));
      }
    }
    inTable = new TreeMap<>();
    Matcher row = ROW.matcher(Files.readString(ROOT.resolve("docs/ordering.md")));
    while (row.find()) {
      assertFalse(inTable.containsKey(row.group(1)), "two rows for " + row.group(1));
      inTable.put(row.group(1), row.group(2));
    }
    inStress = new TreeMap<>();
    javaFiles(ROOT.resolve("jcstress-tests/src/main/java"))
        .forEach((name, text) -> inStress.put(name, ids(text)));
  }

  private static Map<String, String> javaFiles(Path directory) throws IOException {
    Map<String, String> files = new TreeMap<>();
    if (Files.isDirectory(directory)) {
      try (Stream<Path> walk = Files.walk(directory)) {
        for (Path path : walk.filter(p -> p.toString().endsWith(".java")).toList()) {
          String name = path.getFileName().toString().replace(".java", "");
          files.merge(name, Files.readString(path), String::concat);
        }
      }
    }
    return files;
  }

  /** The ids of all ORDER comments; such a comment may go on in the next line. */
  private static Set<String> ids(String text) {
    String joined = text.replaceAll("\\n\\s*(//|\\*) ?", " ");
    Set<String> ids = new TreeSet<>();
    Matcher order = ORDER.matcher(joined);
    while (order.find()) {
      ids.addAll(List.of(order.group(1).split(",\\s+")));
    }
    return ids;
  }

  @Test
  void table_hasTheIdsOfTheSources_andNoOthers() {
    assertFalse(inSources.isEmpty(), "no ORDER comment found below " + ROOT);
    assertEquals(inSources, inTable.keySet(), "docs/ordering.md has other ids than the sources");
  }

  @Test
  void table_namesStressTestsThatNameTheId_orSaysWhyThereIsNone() {
    inTable.forEach((id, tests) -> {
      Set<String> classes =
          STRESS_CLASS
              .matcher(tests)
              .results()
              .map(m -> m.group(1))
              .collect(toCollection(TreeSet::new));
      if (classes.isEmpty()) {
        assertTrue(
            tests.startsWith("none: ") && tests.length() > 20,
            id + ": names no stress test, and gives no reason: " + tests);
      }
      for (String name : classes) {
        assertTrue(inStress.containsKey(name), id + ": there is no stress test " + name);
        assertTrue(
            inStress.getOrDefault(name, Set.of()).contains(id),
            name + " does not say 'ORDER " + id + "'");
      }
    });
  }

  @Test
  void stressTests_nameOnlyIdsOfTheSources_andAreNamedInTheirRows() {
    inStress.forEach((name, ids) -> {
      for (String id : ids) {
        assertTrue(inSources.contains(id), name + " names " + id + ", the sources do not");
        assertTrue(
            inTable.getOrDefault(id, "").contains("`" + name + "`"),
            "the row " + id + " of docs/ordering.md does not name " + name);
      }
    });
  }

  @Test
  void stressTests_allNameAnId() {
    Set<String> without =
        inStress.entrySet().stream()
            .filter(e -> e.getKey().endsWith("Stress") && e.getValue().isEmpty())
            .map(Map.Entry::getKey)
            .collect(toCollection(TreeSet::new));
    assertEquals(Set.of(), without, "stress tests without an ORDER line");
  }
}
