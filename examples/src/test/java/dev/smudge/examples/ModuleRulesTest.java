package dev.smudge.examples;

import static java.util.stream.Collectors.toSet;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.lang.ArchRule;
import java.lang.module.ModuleDescriptor;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** The rules find what breaks them in the packages below {@code rules}, and nothing else. */
class ModuleRulesTest {
  private static final String HERE = "dev.smudge.examples.rules.";
  private static final Pattern NAME = Pattern.compile(HERE.replace(".", "\\.") + "([\\w.]+)");

  private final JavaClasses classes = new ClassFileImporter().importPackages(HERE + "..");
  private final ModuleRules rules =
      new ModuleRules(
          List.of(
              ModuleDescriptor.newModule(HERE + "owner")
                  .exports(HERE + "owner")
                  .exports(HERE + "owner.friendly", Set.of(HERE + "friend"))
                  .packages(Set.of(HERE + "owner.internal"))
                  .build(),
              ModuleDescriptor.newModule(HERE + "friend").build()));

  @Test
  void freeOfCycles_throughTwoAndThreePackages_found() {
    Set<Set<String>> cycles =
        rules
            .packagesAreFreeOfCycles(HERE + "owner")
            .evaluate(classes)
            .getFailureReport()
            .getDetails()
            .stream()
            .map(detail -> detail.substring(0, detail.indexOf("1. Dependencies of")))
            .map(cycle -> NAME.matcher(cycle).results().map(name -> name.group(1)).collect(toSet()))
            .collect(toSet());
    assertEquals(
        Set.of(
            Set.of("owner", "owner.internal"), Set.of("owner", "owner.friendly", "owner.internal")),
        cycles);
  }

  @Test
  void freeOfCycles_otherModule_nothingFound() {
    assertEquals(Set.of(), found(rules.packagesAreFreeOfCycles(HERE + "friend")));
  }

  @Test
  void friendsOnly_strangerAndFriendWithoutLeave_found() {
    assertEquals(
        Set.of(
            "friend.Friend.forbidden owner.internal.Hidden owner",
            "stranger.Stranger.forbidden owner.friendly.Friendly friend owner"),
        found(rules.packagesAreUsedByTheirFriendsOnly()));
  }

  @Test
  void declarations_typesThatUsersCannotName_found() {
    assertEquals(
        Set.of(
            "owner.Api. owner.friendly.Friendly owner.friendly.Friendly friend owner",
            "owner.Api.hidden owner.internal.Hidden owner",
            "owner.Api.take owner.internal.Hidden owner.internal.Hidden owner",
            "owner.friendly.Friendly.hidden friend owner owner.internal.Hidden owner"),
        found(rules.declarationsNameOnlyWhatTheirUsersCanName()));
  }

  /** Of each violation the names that stand in it, without what is common to them. */
  private Set<String> found(ArchRule rule) {
    return rule.evaluate(classes).getFailureReport().getDetails().stream()
        .map(detail ->
            NAME.matcher(detail)
                .results()
                .map(name -> name.group(1))
                .collect(Collectors.joining(" ")))
        .collect(Collectors.toCollection(TreeSet::new));
  }
}
