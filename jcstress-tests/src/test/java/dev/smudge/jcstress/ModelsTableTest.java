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
import org.junit.jupiter.api.Test;

/** Keeps docs/models.md in step with docs/ordering.md and with the models. */
final class ModelsTableTest {
  private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();
  private static final Pattern ID = Pattern.compile("^\\| ([A-Z]\\d+) \\|", Pattern.MULTILINE);
  private static final Pattern ROW =
      Pattern.compile(
          "^\\| ([A-Z]\\d+) \\| (none|`\\w+`) \\| (\\w*) ?\\| (\\d*) ?\\| ([^|]+) \\|$",
          Pattern.MULTILINE);

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

  private static List<String> ids(String text) {
    return ID.matcher(text).results().map(m -> m.group(1)).toList();
  }

  private static String read(String path) throws IOException {
    return Files.readString(ROOT.resolve(path));
  }
}
