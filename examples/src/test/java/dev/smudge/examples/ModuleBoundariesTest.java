package dev.smudge.examples;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideOutsideOfPackages;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.lang.module.ModuleDescriptor;
import java.lang.module.ModuleReference;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What each published module may use and show, and what the test kit may use. */
class ModuleBoundariesTest {
  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(new ImportOption.DoNotIncludeTests())
          .importPackages("dev.smudge");

  private static final JavaClasses CLASSES_AND_TESTS =
      new ClassFileImporter().importPackages("dev.smudge");
  private static final ModuleRules RULES =
      new ModuleRules(modules().map(ModuleReference::descriptor).toList());

  @Test
  void bitmap_dependencies_jdkOnly() {
    onlyUses("bitmap");
  }

  @Test
  void ring_dependencies_jdkOnly() {
    onlyUses("ring");
  }

  @Test
  void sync_dependencies_bitmapRingQueuesAgents() {
    onlyUses(
        "sync",
        "jdk.jfr..",
        "dev.smudge.bitmap..",
        "dev.smudge.ring..",
        "org.jctools..",
        "org.agrona..");
  }

  @Test
  void snapshot_dependencies_syncAndBitmap() {
    onlyUses("snapshot", "jdk.jfr..", "dev.smudge.sync..", "dev.smudge.bitmap..");
  }

  @Test
  void migration_dependencies_snapshotAndBelow() {
    onlyUses("migration", "dev.smudge.snapshot..", "dev.smudge.sync..", "dev.smudge.bitmap..");
  }

  @Test
  void core_dependencies_syncAndBelowAndLinux() {
    onlyUses(
        "core",
        "dev.smudge.linux..",
        "dev.smudge.sync..",
        "dev.smudge.bitmap..",
        "dev.smudge.ring..");
  }

  @Test
  void linux_dependencies_jdkOnly() {
    onlyUses("linux");
  }

  @Test
  void kvm_dependencies_linuxAndCoreAndBelow() {
    onlyUses(
        "kvm",
        "dev.smudge.linux..",
        "dev.smudge.core..",
        "dev.smudge.sync..",
        "dev.smudge.bitmap..",
        "dev.smudge.ring..");
  }

  @Test
  void mmu_dependencies_linuxAndCoreAndBelow() {
    onlyUses(
        "mmu",
        "dev.smudge.linux..",
        "dev.smudge.core..",
        "dev.smudge.sync..",
        "dev.smudge.bitmap..");
  }

  @Test
  void endive_dependencies_coreAndBelowAndTheRuntime() {
    onlyUses(
        "endive", "dev.smudge.core..", "dev.smudge.sync..", "dev.smudge.bitmap..", "run.endive..");
  }

  @Test
  void testkit_dependencies_coreAndBelowAndJUnit() {
    onlyUses(
        "testkit",
        "dev.smudge.core..",
        "dev.smudge.ring..",
        "dev.smudge.bitmap..",
        "dev.smudge.sync..",
        "org.junit.jupiter..");
  }

  @Test
  void anyModule_buffersOfAgrona_notUsed() {
    noClasses()
        .should()
        .dependOnClassesThat(
            resideInAnyPackage("org.agrona..")
                .and(
                    DescribedPredicate.describe(
                        "are buffers or use Unsafe",
                        type ->
                            type.getSimpleName().endsWith("Buffer")
                                || type.getSimpleName().contains("Unsafe"))))
        .check(CLASSES);
  }

  @ParameterizedTest
  @MethodSource("modules")
  void publicTypes_anyPackage_inAnExportedOneOrInternal(ModuleReference module) {
    String name = module.descriptor().name();
    Stream<String> exported =
        module.descriptor().exports().stream().map(ModuleDescriptor.Exports::source);
    classes()
        .that()
        .resideInAPackage(name + "..")
        .and()
        .haveModifier(JavaModifier.PUBLIC)
        .should()
        .resideInAnyPackage(
            Stream.concat(exported, Stream.of(name + ".internal..")).toArray(String[]::new))
        .check(CLASSES);
  }

  @ParameterizedTest
  @MethodSource("modules")
  void packages_ofOneModule_freeOfCycles(ModuleReference module) {
    RULES.packagesAreFreeOfCycles(module.descriptor().name()).check(CLASSES);
  }

  @Test
  void packages_notForEverybody_usedByTheirFriendsOnly() {
    RULES.packagesAreUsedByTheirFriendsOnly().check(CLASSES_AND_TESTS);
  }

  @Test
  void publicMembers_typesInTheirDeclarations_forTheSameUsers() {
    RULES.declarationsNameOnlyWhatTheirUsersCanName().check(CLASSES);
  }

  private static Stream<ModuleReference> modules() {
    return ThisBuild.modules().stream();
  }

  private static void onlyUses(String module, String... others) {
    List<String> allowed =
        new ArrayList<>(List.of("java..", "org.jspecify..", "dev.smudge." + module + ".."));
    allowed.addAll(List.of(others));
    DescribedPredicate<JavaClass> foreign =
        resideOutsideOfPackages(allowed.toArray(String[]::new))
            .and(resideOutsideOfPackages("")); // primitives
    noClasses()
        .that()
        .resideInAPackage("dev.smudge." + module + "..")
        .should()
        .dependOnClassesThat(foreign)
        .check(CLASSES);
  }
}
