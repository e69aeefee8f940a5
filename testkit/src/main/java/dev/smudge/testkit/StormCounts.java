package dev.smudge.testkit;

import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.LongAdder;
import java.util.stream.Collectors;

/** How often a storm has done what. Any thread counts. */
final class StormCounts {
  /** What is counted. */
  enum Kind {
    WRITES_BY_VCPUS,
    WRITES_BY_THE_MACHINE,
    WRITES_BY_DEVICES,
    ASYNCHRONOUS_WRITES,
    RELEASES,
    WRITES_BY_A_CLIENT,
    TAKES,
    SYNCS,
    DISCARDS,
    CHANGES_OF_SLOTS,
    PAUSES,
    PAUSES_WHOSE_HOLDER_DIES,
    TASKS,
    INTERRUPTS,
    FAULTS,
    OVERFLOWS_OF_A_STACK,
    DEATHS_OF_VCPUS,
    REPORTS,
    PAGES_COMPARED
  }

  private final Map<Kind, LongAdder> counts = new EnumMap<>(Kind.class);

  StormCounts() {
    for (Kind kind : Kind.values()) {
      counts.put(kind, new LongAdder());
    }
  }

  void count(Kind kind) {
    add(kind, 1);
  }

  void add(Kind kind, long more) {
    Objects.requireNonNull(counts.get(kind)).add(more);
  }

  @Override
  public String toString() {
    return counts.entrySet().stream()
        .map(each -> each.getValue() + " " + name(each.getKey()))
        .collect(Collectors.joining(", "));
  }

  private static String name(Kind kind) {
    return kind.name().toLowerCase(Locale.ROOT).replace('_', ' ').replace("vcpu", "vCPU");
  }
}
