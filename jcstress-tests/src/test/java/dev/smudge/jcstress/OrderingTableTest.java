package dev.smudge.jcstress;

import static java.util.stream.Collectors.toCollection;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * Keeps the ORDER comments of the sources, docs/ordering.md and the stress tests in step.
 *
 * <p>A site is {@code Class.member} in backquotes, in the columns of the stores and of the loads.
 * Where the access at that site has another id in the sources, that one follows in parentheses;
 * where it has none yet, {@code (unmarked)}.
 */
final class OrderingTableTest {
  private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();
  private static final List<String> MODULES =
      List.of("bitmap", "ring", "sync", "core", "kvm", "endive");
  private static final Pattern ORDER = Pattern.compile("ORDER ((?:[A-Z]\\d+)(?:,\\s+[A-Z]\\d+)*)");
  private static final Pattern ROW =
      Pattern.compile(
          "^\\| ([A-Z]\\d+) \\| ([^|]+) \\| ([^|]+) \\|.*\\| ([^|]+) \\|$", Pattern.MULTILINE);
  private static final Pattern QUOTED =
      Pattern.compile("(external: )?`([^`]+)`(?: \\(([A-Z]\\d+|unmarked)\\))?");
  private static final Pattern SITE = Pattern.compile("([A-Z]\\w*)\\.\\w+");
  private static final Pattern STRESS_CLASS = Pattern.compile("`(\\w+Stress)`");

  private static Set<String> inSources = Set.of();
  private static Map<String, String> inTable = Map.of(); // id, last column
  private static Map<String, List<String>> sites = Map.of(); // id, the columns of sites
  private static OrderedMembers members = new OrderedMembers();
  private static Map<String, Set<String>> inStress = Map.of(); // class, ids

  @BeforeAll
  static void read() throws IOException {
    inSources = new TreeSet<>();
    List<Path> sources = new ArrayList<>();
    for (String module : MODULES) {
      sources.addAll(javaPaths(ROOT.resolve(module + "/src/main/java")));
    }
    for (Path source : sources) {
      inSources.addAll(ids(Files.readString(source)));
    }
    members = new OrderedMembers(sources);
    inTable = new TreeMap<>();
    sites = new TreeMap<>();
    Matcher row = ROW.matcher(Files.readString(ROOT.resolve("docs/ordering.md")));
    while (row.find()) {
      assertFalse(inTable.containsKey(row.group(1)), "two rows for " + row.group(1));
      inTable.put(row.group(1), row.group(4));
      sites.put(row.group(1), List.of(row.group(2), row.group(3)));
    }
    inStress = new TreeMap<>();
    javaFiles(ROOT.resolve("jcstress-tests/src/main/java"))
        .forEach((name, text) -> inStress.put(name, ids(text)));
  }

  private static Map<String, String> javaFiles(Path directory) throws IOException {
    Map<String, String> files = new TreeMap<>();
    for (Path path : javaPaths(directory)) {
      String name = path.getFileName().toString().replace(".java", "");
      files.merge(name, Files.readString(path), String::concat);
    }
    return files;
  }

  private static List<Path> javaPaths(Path directory) throws IOException {
    if (!Files.isDirectory(directory)) {
      return List.of();
    }
    try (Stream<Path> walk = Files.walk(directory)) {
      return walk.filter(path -> path.toString().endsWith(".java")).toList();
    }
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
  void table_namesSitesInWhichTheIdStands() {
    List<String> wrong = new ArrayList<>();
    sites.forEach((id, columns) -> {
      for (String column : columns) {
        int count = 0;
        Matcher quoted = QUOTED.matcher(column);
        while (quoted.find()) {
          count++;
          if (quoted.group(1) == null) { // not external
            fault(id, quoted.group(2), Optional.ofNullable(quoted.group(3)))
                .ifPresent(fault -> wrong.add(id + ": " + quoted.group() + " " + fault));
          }
        }
        if (count == 0) {
          wrong.add(id + ": no site in '" + column + "'");
        }
      }
    });
    assertTrue(wrong.isEmpty(), () -> "in docs/ordering.md:\n" + String.join("\n", wrong));
  }

  /** What is wrong with a site of a row; the last is what stands behind it in parentheses. */
  private static Optional<String> fault(String row, String site, Optional<String> note) {
    boolean unmarked = note.equals(Optional.of("unmarked"));
    String id = unmarked ? row : note.orElse(row);
    String found = "; " + id + " stands in " + members.membersWith(id);
    Matcher names = SITE.matcher(site);
    if (!names.matches()) {
      return Optional.of("is not Class.method" + found);
    }
    Set<String> ids = members.idsIn(site);
    if (!members.hasType(names.group(1))) {
      return Optional.of("names a class that is not there" + found);
    } else if (ids == null) {
      return Optional.of("names a member that is not there" + found);
    } else if (ids.contains(id) == unmarked) {
      return Optional.of((unmarked ? "is marked" : "has the ids " + ids) + found);
    }
    return Optional.empty();
  }

  @Test
  void sources_membersWithAnOrderComment_areInItsRow() {
    List<String> missing = new ArrayList<>();
    members
        .ordered()
        .forEach((member, ids) -> {
          for (String id : ids) {
            if (!sites.getOrDefault(id, List.of()).toString().contains("`" + member + "`")) {
              missing.add(id + ": `" + member + "`");
            }
          }
        });
    assertEquals(List.of(), missing, "not named in the rows of docs/ordering.md");
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
