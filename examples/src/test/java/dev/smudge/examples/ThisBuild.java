package dev.smudge.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.File;
import java.lang.module.ModuleFinder;
import java.lang.module.ModuleReference;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.Predicate;

/** The modules of this build, as they stand on the class path of the tests. */
final class ThisBuild {
  static final Path ROOT = Path.of("..").toAbsolutePath().normalize();

  private static final List<Path> CLASS_PATH =
      Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
          .map(Path::of)
          .toList();

  private ThisBuild() {}

  /** The modules that have a descriptor, which are those that are published, sorted by name. */
  static List<ModuleReference> modules() {
    List<ModuleReference> modules =
        CLASS_PATH.stream()
            .filter(entry -> entry.startsWith(ROOT))
            .filter(entry -> !Files.isDirectory(entry) || hasDescriptor(entry))
            .flatMap(entry -> ModuleFinder.of(entry).findAll().stream())
            .filter(module -> !module.descriptor().isAutomatic())
            .sorted(Comparator.comparing(module -> module.descriptor().name()))
            .toList();
    assertFalse(modules.isEmpty(), "no module of this build on the class path: " + CLASS_PATH);
    return modules;
  }

  private static boolean hasDescriptor(Path directory) {
    return Files.exists(directory.resolve("module-info.class"));
  }

  /** The jar of a module, or the directory of its classes where none has been packaged. */
  static Path classes(String module) {
    Path target = ROOT.resolve(module).resolve("target");
    return single(entry -> entry.startsWith(target), module);
  }

  /** The jar of a library from elsewhere. */
  static Path library(String artifact) {
    String name = artifact + "-\\d.*\\.jar";
    return single(entry -> entry.getFileName().toString().matches(name), artifact);
  }

  private static Path single(Predicate<Path> which, String what) {
    List<Path> entries = CLASS_PATH.stream().filter(which).toList();
    assertEquals(1, entries.size(), () -> "entries of the class path for " + what + ": " + entries);
    return entries.getFirst();
  }
}
