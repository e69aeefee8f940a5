package dev.smudge.jcstress;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Keeps docs/models.md in step with docs/ordering.md and with the models. */
final class ModelsTableTest {
  private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();
  private static final Pattern ID = Pattern.compile("^\\| ([A-Z]\\d+) \\|", Pattern.MULTILINE);
  private static final Pattern ROW =
      Pattern.compile(
          "^\\| ([A-Z]\\d+) \\| (none|`\\w+`) \\| (\\w*) ?\\| (\\d*) ?\\| ([^|]+) \\|$",
          Pattern.MULTILINE);

  private static final Pattern MISTAKE =
      Pattern.compile(
          "^\\| \\[(\\w+)]\\(models/\\1\\.txt\\) \\| `(\\w+)` \\| (\\d) \\| [^|]+ \\| (\\d*) ?\\|$",
          Pattern.MULTILINE);
  private static final Pattern FAILS =
      Pattern.compile("^ \\* RUN fail (?!WEAK_)(\\w+) (\\d)", Pattern.MULTILINE);

  @Test
  void table_hasTheIdsOfTheOrderings_inTheirOrder() throws IOException {
    List<String> orderings = ids(read("docs/ordering.md"));
    assertEquals(orderings, ids(read("docs/models.md")));
  }

  @Test
  void rows_nameAModelThatExploresTheVariant_orGiveAReason() throws IOException {
    List<String> wrong = new ArrayList<>();
    String table = read("docs/models.md");
    Matcher row = ROW.matcher(table);
    int rows = 0;
    while (row.find()) {
      rows++;
      String id = row.group(1);
      String machine = row.group(3);
      if (row.group(2).equals("none")) {
        if (row.group(5).isBlank()) {
          wrong.add(id + ": no model, and no reason");
        }
        continue;
      }
      String name = "models/" + row.group(2).replace("`", "") + ".pml";
      String run =
          machine.equals("none")
              ? " * RUN same WEAK_" + id + " "
              : " * RUN fail WEAK_" + id + " " + machine;
      Path timeline = ROOT.resolve("docs/models/WEAK_" + id + ".txt");
      if (!Files.exists(ROOT.resolve(name)) || !read(name).contains(run)) {
        wrong.add(id + ": " + name + " has no line '" + run + "'");
      }
      if (!machine.equals("none") && !Files.exists(timeline)) {
        wrong.add(id + ": there is no " + timeline);
      }
    }
    assertEquals(ids(table).size(), rows, "rows of another form in docs/models.md");
    assertTrue(wrong.isEmpty(), () -> String.join("\n", wrong));
  }

  @Test
  void mistakes_areThoseThatTheModelsMake() throws IOException {
    List<String> made = new ArrayList<>();
    try (Stream<Path> models = Files.list(ROOT.resolve("models"))) {
      for (Path model : models.toList()) {
        String name = model.getFileName().toString().replace(".pml", "");
        Matcher run = FAILS.matcher(Files.readString(model));
        while (run.find()) {
          made.add(name + " " + run.group(1) + " " + run.group(2));
        }
      }
    }
    List<String> told = new ArrayList<>();
    String bugs = read("docs/bugs.md");
    Matcher row = MISTAKE.matcher(read("docs/models.md"));
    while (row.find()) {
      told.add(row.group(2) + " " + row.group(1) + " " + row.group(3));
      assertTrue(
          Files.exists(ROOT.resolve("docs/models/" + row.group(1) + ".txt")),
          () -> "no timeline of " + row.group(1));
      assertTrue(
          row.group(4).isEmpty() || bugs.contains("\n| " + row.group(4) + " | "),
          () -> "docs/bugs.md has no bug " + row.group(4));
    }
    assertEquals(made.stream().sorted().toList(), told.stream().sorted().toList());
  }

  private static List<String> ids(String text) {
    return ID.matcher(text).results().map(m -> m.group(1)).toList();
  }

  private static String read(String path) throws IOException {
    return Files.readString(ROOT.resolve(path));
  }
}
