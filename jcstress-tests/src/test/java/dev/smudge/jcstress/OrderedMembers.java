package dev.smudge.jcstress;

import com.sun.source.tree.ClassTree;
import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.tree.MethodTree;
import com.sun.source.tree.Tree;
import com.sun.source.tree.VariableTree;
import com.sun.source.util.JavacTask;
import com.sun.source.util.SourcePositions;
import com.sun.source.util.TreeScanner;
import com.sun.source.util.Trees;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;
import org.jspecify.annotations.Nullable;

/**
 * Methods and fields of some sources, as {@code Class.member}, and the ids of orderings that stand
 * in them. An id stands in a method if a comment in its body begins with it, after {@code ORDER} or
 * alone; in a field, if a comment at its declaration does. Classes go by their simple names, nested
 * ones too; a constructor is {@code Class.Class}; overloads are one.
 */
final class OrderedMembers {
  private static final String ID = "[A-Z]\\d+";
  private static final Pattern COMMENT =
      Pattern.compile("//\\s*(ORDER\\s+)?(" + ID + "(?:,\\s+" + ID + ")*)\\b");
  private static final Pattern LINE_OF_A_COMMENT = Pattern.compile("^\\s*//");

  private final Set<String> types = new TreeSet<>();
  private final Map<String, Set<String>> ids = new TreeMap<>();
  private final Map<String, Set<String>> ordered = new TreeMap<>();

  /** Of no files. */
  OrderedMembers() {}

  /** Reads these files. */
  OrderedMembers(Collection<Path> sources) throws IOException {
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    if (compiler == null) {
      throw new AssertionError("no compiler: the tests need a JDK");
    }
    try (var files = compiler.getStandardFileManager(null, null, null)) {
      JavacTask task =
          (JavacTask)
              compiler.getTask(
                  null,
                  files,
                  null,
                  List.of("-proc:none"),
                  null,
                  files.getJavaFileObjectsFromPaths(sources));
      SourcePositions positions = Trees.instance(task).getSourcePositions();
      for (CompilationUnitTree unit : task.parse()) {
        String text = unit.getSourceFile().getCharContent(true).toString();
        new Members(unit, text, positions).scan(unit, null);
      }
    }
  }

  /** Whether there is a class of this simple name. */
  boolean hasType(String name) {
    return types.contains(name);
  }

  /** The ids that stand in a member; null if there is no such member. */
  @Nullable Set<String> idsIn(String member) {
    return ids.get(member);
  }

  /** Members in which an id stands. */
  Set<String> membersWith(String id) {
    Set<String> members = new TreeSet<>();
    ids.forEach((member, itsIds) -> {
      if (itsIds.contains(id)) {
        members.add(member);
      }
    });
    return members;
  }

  /** Of each member with comments that say {@code ORDER}, their ids. */
  Map<String, Set<String>> ordered() {
    return ordered;
  }

  private final class Members extends TreeScanner<@Nullable Void, @Nullable Void> {
    private final CompilationUnitTree unit;
    private final String text;
    private final SourcePositions positions;

    Members(CompilationUnitTree unit, String text, SourcePositions positions) {
      this.unit = unit;
      this.text = text;
      this.positions = positions;
    }

    @Override
    public @Nullable Void visitClass(ClassTree type, @Nullable Void unused) {
      String name = type.getSimpleName().toString();
      if (!name.isEmpty()) { // an anonymous class belongs to the member that it stands in
        types.add(name);
        int last = (int) positions.getStartPosition(unit, type);
        for (Tree member : type.getMembers()) {
          int end = (int) positions.getEndPosition(unit, member);
          switch (member) {
            case MethodTree method when end >= 0 -> {
              String simple = method.getName().toString();
              boolean constructor = simple.equals("<init>");
              add(
                  name + "." + (constructor ? name : simple),
                  method.getBody() == null
                      ? ""
                      : text.substring(
                          (int) positions.getStartPosition(unit, method.getBody()), end));
            }
            case VariableTree field when end >= 0 -> {
              int lineEnd = text.indexOf('\n', end);
              add(name + "." + field.getName(), text.substring(Math.min(last, end), lineEnd));
            }
            default -> {}
          }
          last = Math.max(last, end);
        }
      }
      return super.visitClass(type, null);
    }

    private void add(String member, String source) {
      Set<String> all = ids.computeIfAbsent(member, m -> new TreeSet<>());
      boolean goesOn = false;
      for (String line : source.lines().toList()) {
        boolean isComment = LINE_OF_A_COMMENT.matcher(line).find();
        Matcher comment = COMMENT.matcher(line);
        if (comment.find() && !(goesOn && comment.group(1) == null)) {
          List<String> found = List.of(comment.group(2).split(",\\s+"));
          all.addAll(found);
          if (comment.group(1) != null) {
            ordered.computeIfAbsent(member, m -> new TreeSet<>()).addAll(found);
          }
        }
        goesOn = isComment;
      }
    }
  }
}
