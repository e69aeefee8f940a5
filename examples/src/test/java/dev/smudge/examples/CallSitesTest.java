package dev.smudge.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageSet;
import dev.smudge.core.GuestMemory;
import dev.smudge.endive.TrackedMemory;
import dev.smudge.kvm.KvmTracker;
import dev.smudge.migration.MigrationSource;
import dev.smudge.mmu.MmuTracker;
import dev.smudge.ring.DirtyRing;
import dev.smudge.snapshot.SnapshotStore;
import dev.smudge.sync.DirtyLog;
import java.io.IOException;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassModel;
import java.lang.classfile.constantpool.InvokeDynamicEntry;
import java.lang.classfile.constantpool.PoolEntry;
import java.lang.constant.ClassDesc;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * A call site of the JVM that is linked for the first time where the stack ends may be of no use
 * ever after. That has been seen of those whose shape the JDK has not linked beforehand: a string
 * concatenation, a switch over types, a lambda over a number. There is none of these in any module,
 * so that an error keeps no later call from its end.
 */
class CallSitesTest {
  private static Path placeOf(Class<?> type) throws IOException, URISyntaxException {
    URI place = type.getProtectionDomain().getCodeSource().getLocation().toURI();
    Path path = Path.of(place);
    if (Files.isDirectory(path)) {
      return path;
    }
    FileSystem jar = FileSystems.newFileSystem(path);
    return jar.getPath("/");
  }

  private static List<String> wrong(ClassModel type) {
    String name = type.thisClass().asInternalName().replace('/', '.');
    List<String> wrong = new ArrayList<>();
    for (PoolEntry entry : type.constantPool()) {
      if (!(entry instanceof InvokeDynamicEntry site)) {
        continue;
      }
      String maker = site.bootstrap().bootstrapMethod().reference().owner().asInternalName();
      boolean ofNumbers =
          site.typeSymbol().parameterList().stream().anyMatch(ClassDesc::isPrimitive);
      boolean bad =
          switch (maker) {
            case "java/lang/invoke/LambdaMetafactory" -> ofNumbers;
            case "java/lang/runtime/ObjectMethods" ->
                false; // records: those on which calls rely have equals and hashCode by hand
            default -> true;
          };
      if (bad) {
        wrong.add(name + ": " + maker + " " + site.type().stringValue());
      }
    }
    return wrong;
  }

  @Test
  void callSites_none_thatMayStayUnlinkedForEver() throws Exception {
    List<String> wrong = new ArrayList<>();
    int classes = 0;
    for (Class<?> type :
        List.of(
            PageSet.class,
            DirtyRing.class,
            DirtyLog.class,
            SnapshotStore.class,
            MigrationSource.class,
            GuestMemory.class,
            Class.forName("dev.smudge.linux.Libc"), // not exported to this module
            KvmTracker.class,
            MmuTracker.class,
            TrackedMemory.class)) {
      Path place = placeOf(type);
      List<Path> files;
      try (Stream<Path> all = Files.walk(place)) {
        files = all.filter(file -> file.toString().endsWith(".class")).toList();
      }
      for (Path file : files) {
        classes++;
        wrong.addAll(wrong(ClassFile.of().parse(Files.readAllBytes(file))));
      }
    }
    assertTrue(classes > 400, classes + " classes");
    assertEquals(List.of(), wrong);
  }
}
