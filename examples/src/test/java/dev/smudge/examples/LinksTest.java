package dev.smudge.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The links of README.md, of the other pages beside it and of docs/. */
final class LinksTest {
  private static final Pattern LINK = Pattern.compile("\\]\\(([^)\\s]+)\\)");
  private static final Pattern FENCE =
      Pattern.compile("^```.*?^```$", Pattern.DOTALL | Pattern.MULTILINE);
  private static final Pattern HEADING = Pattern.compile("^#+ (.*)$", Pattern.MULTILINE);

  private static List<Path> pages() throws IOException {
    List<Path> pages = new ArrayList<>();
    try (Stream<Path> root = Files.list(ThisBuild.ROOT);
        Stream<Path> docs = Files.walk(ThisBuild.ROOT.resolve("docs"))) {
      Stream.concat(root, docs).filter(page -> page.toString().endsWith(".md")).forEach(pages::add);
    }
    assertTrue(pages.size() > 10, pages.toString());
    return pages;
  }

  private static String prose(Path page) {
    try {
      return FENCE.matcher(Files.readString(page)).replaceAll("");
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static List<String> links(Path page) {
    return LINK.matcher(prose(page)).results().map(link -> link.group(1)).toList();
  }

  /** The anchors of a page's headings, as they are made of their words. */
  private static Set<String> anchors(Path page) {
    Set<String> anchors = new TreeSet<>();
    Map<String, Integer> seen = new HashMap<>();
    for (MatchResult heading : HEADING.matcher(prose(page)).results().toList()) {
      String anchor =
          heading
              .group(1)
              .toLowerCase(Locale.ROOT)
              .replaceAll("[^\\p{L}\\p{N} _-]", "")
              .replace(' ', '-');
      int before = seen.merge(anchor, 1, Integer::sum) - 1;
      anchors.add(before == 0 ? anchor : anchor + "-" + before);
    }
    return anchors;
  }

  @Test
  void relativeLinks_ofEveryPage_leadSomewhere() throws IOException {
    List<String> broken = new ArrayList<>();
    for (Path page : pages()) {
      for (String link : links(page)) {
        if (link.matches("[a-z]+:.*")) {
          continue; // elsewhere
        }
        String[] parts = link.split("#", 2);
        Path target = parts[0].isEmpty() ? page : page.resolveSibling(parts[0]).normalize();
        if (!Files.exists(target) || (parts.length == 2 && !anchors(target).contains(parts[1]))) {
          broken.add(ThisBuild.ROOT.relativize(page) + ": " + link);
        }
      }
    }
    assertEquals(List.of(), broken);
  }

  @Test
  void map_ofTheDocumentation_namesEveryPage() throws IOException {
    Path docs = ThisBuild.ROOT.resolve("docs");
    Path map = docs.resolve("README.md");
    Set<Path> named =
        links(map).stream()
            .map(link -> map.resolveSibling(link.replaceAll("#.*", "")).normalize())
            .collect(Collectors.toSet());
    List<Path> missing =
        pages().stream()
            .filter(page -> page.startsWith(docs) && !page.equals(map) && !named.contains(page))
            .toList();
    assertEquals(List.of(), missing);
  }

  @Test
  void pages_opening_areWords() throws IOException {
    List<Path> others =
        pages().stream()
            .filter(page -> !prose(page).matches("(?s)# [^\\n]+\\n\\n[\\p{Lu}`][^\\n|]+\\n.*"))
            .toList();
    assertEquals(List.of(), others, "a page opens with a paragraph that says what it is for");
  }
}
