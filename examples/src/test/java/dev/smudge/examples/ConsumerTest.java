package dev.smudge.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import java.io.File;
import java.io.IOException;
import java.io.StringWriter;
import java.lang.module.ModuleDescriptor;
import java.lang.module.ModuleFinder;
import java.lang.module.ModuleReader;
import java.lang.module.ModuleReference;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.Node;

/**
 * A project that has one published artifact as its only dependency compiles, with all warnings as
 * errors: on the module path with a {@code requires} of that module alone, and on the class path.
 * The compiler sees what Maven hands on to such a project, and nothing else of this build's.
 */
class ConsumerTest {
  @TempDir private Path directory;

  /** Module, and the Java release of those who use it. */
  static Stream<Arguments> modules() {
    return Stream.concat(
        Stream.of("bitmap", "ring", "sync", "snapshot", "migration").map(m -> arguments(m, "17")),
        Stream.of("core", "kvm").map(m -> arguments(m, "25")));
  }

  @ParameterizedTest
  @MethodSource("modules")
  void compile_onModulePath_noWarning(String module, String release) throws Exception {
    Path descriptor = directory.resolve("module-info.java");
    Files.writeString(descriptor, "module consumer { requires dev.smudge." + module + "; }\n");
    assertEquals(
        "", compile(release, "-p", handedOn(module), List.of(descriptor, consumer(module))));
  }

  @ParameterizedTest
  @MethodSource("modules")
  void compile_onClassPath_noWarning(String module, String release) throws Exception {
    assertEquals("", compile(release, "-cp", handedOn(module), List.of(consumer(module))));
  }

  /** Compiles, and returns what the compiler has to say. */
  private String compile(String release, String pathOption, Set<Path> path, List<Path> sources)
      throws IOException {
    JavaCompiler compiler =
        Objects.requireNonNull(ToolProvider.getSystemJavaCompiler(), "no compiler: not a JDK");
    String joined =
        path.stream().map(Path::toString).collect(Collectors.joining(File.pathSeparator));
    List<String> options = new ArrayList<>(List.of("-Xlint:all", "-Werror", "--release", release));
    options.addAll(List.of("-d", directory.resolve("classes").toString(), pathOption, joined));
    StringWriter said = new StringWriter();
    try (var files = compiler.getStandardFileManager(null, null, null)) {
      compiler
          .getTask(said, files, null, options, null, files.getJavaFileObjectsFromPaths(sources))
          .call();
    }
    return said.toString();
  }

  /** The source of a class that names each public type which the module exports to everybody. */
  private Path consumer(String module) throws IOException {
    Set<String> types = new TreeSet<>();
    ModuleReference reference =
        ModuleFinder.of(ThisBuild.classes(module)).find("dev.smudge." + module).orElseThrow();
    try (ModuleReader reader = reference.open();
        var files = reader.list()) {
      for (String file : files.filter(name -> name.endsWith(".class")).toList()) {
        String name = file.replace(".class", "").replace('/', '.');
        if (isExported(
                reference.descriptor(), name.substring(0, Math.max(0, name.lastIndexOf('.'))))
            && isPublicTopLevel(name)) {
          types.add(name + ".class");
        }
      }
    }
    assertFalse(types.isEmpty(), "no public type in " + reference);
    Path source = Files.createDirectories(directory.resolve("consumer")).resolve("Consumer.java");
    return Files.writeString(
        source,
        String.format(
            Locale.ROOT,
            """
            package consumer;

            final class Consumer {
              static final Class<?>[] TYPES = {
                %s
              };
            }
            """,
            String.join(",\n    ", types)));
  }

  private static boolean isExported(ModuleDescriptor module, String packageName) {
    return module.exports().stream()
        .anyMatch(exported -> !exported.isQualified() && exported.source().equals(packageName));
  }

  private static boolean isPublicTopLevel(String name) {
    try {
      Class<?> type = Class.forName(name, false, ConsumerTest.class.getClassLoader());
      return type.getEnclosingClass() == null && Modifier.isPublic(type.getModifiers());
    } catch (ClassNotFoundException e) {
      throw new AssertionError(e);
    }
  }

  /**
   * The artifact of a module, and what comes with it at compile scope. Of libraries from elsewhere
   * only they themselves are taken, without what they depend on: ours depend on nothing.
   */
  private static Set<Path> handedOn(String module) throws Exception {
    Set<Path> path = new LinkedHashSet<>();
    path.add(ThisBuild.classes(module));
    for (Path pom :
        List.of(
            ThisBuild.ROOT.resolve(module).resolve("pom.xml"), ThisBuild.ROOT.resolve("pom.xml"))) {
      Document document =
          DocumentBuilderFactory.newDefaultInstance().newDocumentBuilder().parse(pom.toFile());
      for (Element dependencies : children(document.getDocumentElement(), "dependencies")) {
        for (Element dependency : children(dependencies, "dependency")) {
          if (text(dependency, "scope", "compile").equals("compile")
              && text(dependency, "optional", "false").equals("false")) {
            String artifact = text(dependency, "artifactId", "");
            if (artifact.startsWith("smudge-")) {
              path.addAll(handedOn(artifact.substring("smudge-".length())));
            } else {
              path.add(ThisBuild.library(artifact));
            }
          }
        }
      }
    }
    return path;
  }

  private static List<Element> children(Element parent, String name) {
    List<Element> children = new ArrayList<>();
    for (Node node = parent.getFirstChild(); node != null; node = node.getNextSibling()) {
      if (node instanceof Element element && element.getTagName().equals(name)) {
        children.add(element);
      }
    }
    return children;
  }

  private static String text(Element parent, String name, String otherwise) {
    List<Element> children = children(parent, name);
    return children.isEmpty() ? otherwise : children.getFirst().getTextContent().strip();
  }
}
