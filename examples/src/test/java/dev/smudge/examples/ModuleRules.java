package dev.smudge.examples;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.domain.Dependency;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaCodeUnit;
import com.tngtech.archunit.core.domain.JavaField;
import com.tngtech.archunit.core.domain.JavaMember;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.lang.ArchCondition;
import com.tngtech.archunit.lang.ArchRule;
import com.tngtech.archunit.lang.ConditionEvents;
import com.tngtech.archunit.lang.SimpleConditionEvent;
import com.tngtech.archunit.library.dependencies.SliceAssignment;
import com.tngtech.archunit.library.dependencies.SliceIdentifier;
import java.lang.module.ModuleDescriptor;
import java.lang.module.ModuleDescriptor.Exports;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/**
 * What module descriptors say, as rules that hold on the class path too, where nobody reads a
 * descriptor. A class belongs to the module with whose name its package begins, so a test does as
 * well.
 */
final class ModuleRules {
  private final List<ModuleDescriptor> modules;

  ModuleRules(Collection<ModuleDescriptor> modules) {
    this.modules = List.copyOf(modules);
  }

  /** No two packages of a module depend on each other, also by way of others. */
  ArchRule packagesAreFreeOfCycles(String module) {
    return slices()
        .assignedFrom(
            new SliceAssignment() {
              @Override
              public SliceIdentifier getIdentifierOf(JavaClass type) {
                return isWithin(type.getPackageName(), module)
                    ? SliceIdentifier.of(type.getPackageName())
                    : SliceIdentifier.ignore();
              }

              @Override
              public String getDescription() {
                return "packages of " + module;
              }
            })
        .should()
        .beFreeOfCycles();
  }

  /** A package that is exported to some modules only, or to none, is used by these and its own. */
  ArchRule packagesAreUsedByTheirFriendsOnly() {
    return classes()
        .should(
            new ArchCondition<>("use only packages that are exported to their module") {
              @Override
              public void check(JavaClass type, ConditionEvents events) {
                String user =
                    moduleOf(type.getPackageName()).map(ModuleDescriptor::name).orElse("");
                for (Dependency dependency : type.getDirectDependenciesFromSelf()) {
                  Audience audience = audienceOf(dependency.getTargetClass());
                  if (!audience.has(user)) {
                    events.add(
                        SimpleConditionEvent.violated(
                            type, dependency.getDescription() + ", which is for " + audience));
                  }
                }
              }
            });
  }

  /**
   * Whoever can call a method or constructor, or read a field, can name the types that stand in its
   * declaration.
   */
  ArchRule declarationsNameOnlyWhatTheirUsersCanName() {
    return classes()
        .that()
        .arePublic()
        .should(
            new ArchCondition<>("declare public members of types that are exported as they are") {
              @Override
              public void check(JavaClass type, ConditionEvents events) {
                Audience users = audienceOf(type);
                if (users.isOwnModuleOnly() || !isPublicAllTheWay(type)) {
                  return;
                }
                for (JavaMember member : type.getMembers()) {
                  if (!isPublicOrProtected(member)) {
                    continue;
                  }
                  for (JavaClass named : typesIn(member)) {
                    Audience audience = audienceOf(named);
                    if (!audience.hasAll(users)) {
                      events.add(
                          SimpleConditionEvent.violated(
                              type,
                              member.getDescription()
                                  + " is for "
                                  + users
                                  + ", but names "
                                  + named.getName()
                                  + ", which is for "
                                  + audience));
                    }
                  }
                }
              }
            });
  }

  private static boolean isPublicAllTheWay(JavaClass type) {
    return type.getModifiers().contains(JavaModifier.PUBLIC)
        && type.getEnclosingClass().map(ModuleRules::isPublicAllTheWay).orElse(true);
  }

  private static boolean isPublicOrProtected(JavaMember member) {
    Set<JavaModifier> modifiers = member.getModifiers();
    return (modifiers.contains(JavaModifier.PUBLIC) || modifiers.contains(JavaModifier.PROTECTED))
        && !modifiers.contains(JavaModifier.SYNTHETIC);
  }

  private static Set<JavaClass> typesIn(JavaMember member) {
    Set<JavaClass> types = new TreeSet<>(Comparator.comparing(JavaClass::getName));
    switch (member) {
      case JavaField field -> types.addAll(field.getAllInvolvedRawTypes());
      case JavaCodeUnit unit -> {
        types.addAll(unit.getAllInvolvedRawTypes());
        types.addAll(unit.getExceptionTypes());
      }
      default -> throw new AssertionError(member);
    }
    return types;
  }

  /** Modules that can name a class: all, or its own and some others. */
  private record Audience(boolean everybody, Set<String> modules) {
    boolean has(String module) {
      return everybody || modules.contains(module);
    }

    boolean hasAll(Audience others) {
      return everybody || (!others.everybody && modules.containsAll(others.modules));
    }

    boolean isOwnModuleOnly() {
      return !everybody && modules.size() == 1;
    }

    @Override
    public String toString() {
      return everybody ? "everybody" : String.join(", ", modules) + " only";
    }
  }

  private Audience audienceOf(JavaClass type) {
    String name = type.getBaseComponentType().getPackageName();
    Optional<ModuleDescriptor> owner = moduleOf(name);
    Set<String> friends = new TreeSet<>();
    boolean everybody = owner.isEmpty();
    if (owner.isPresent()) {
      friends.add(owner.get().name());
      for (Exports exports : owner.get().exports()) {
        if (exports.source().equals(name)) {
          everybody |= !exports.isQualified();
          friends.addAll(exports.targets());
        }
      }
    }
    return new Audience(everybody, friends);
  }

  private Optional<ModuleDescriptor> moduleOf(String packageName) {
    return modules.stream().filter(module -> isWithin(packageName, module.name())).findAny();
  }

  private static boolean isWithin(String packageName, String module) {
    return packageName.equals(module) || packageName.startsWith(module + ".");
  }
}
