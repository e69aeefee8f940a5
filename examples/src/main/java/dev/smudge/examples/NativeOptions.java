package dev.smudge.examples;

import dev.smudge.kvmguest.PageWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** The options of a native guest, and those of a KVM guest. */
final class NativeOptions {
  private static final long MIB = 1L << 20;
  private static final long DEFAULT_TOUCHED = 64 * MIB;

  @Spec(Spec.Target.MIXEE)
  private @Nullable CommandSpec spec;

  /** Those that were given. */
  private final List<String> given = new ArrayList<>();

  private int vcpus = 2;
  private long ram = 64 * MIB;
  private long touched;
  private Pattern pattern = Pattern.HOT;
  private int calls = 10_000;
  private int callWrites = 500;
  private int safepointWrites = 64;
  private long rate = 200_000;
  private boolean busy;
  private int tlb = 16;
  private long seed = 1;

  private Values values(String option) {
    given.add(option);
    return new Values(spec, option);
  }

  @Option(
      names = "--vcpus",
      order = 20,
      paramLabel = "1..64",
      description = "native, kvm: number of vCPUs, each with a thread. Default: 2.")
  void setVcpus(String value) {
    vcpus = (int) values("--vcpus").number(value, 1, NativeProgram.MAX_VCPUS);
  }

  @Option(
      names = "--ram",
      order = 21,
      paramLabel = "1M..4T",
      description = "native, kvm: size of RAM, such as 64M, 4G, 1T. Default: 64M.")
  void setRam(String value) {
    ram = values("--ram").size(value, MIB, NativeProgram.MAX_RAM);
  }

  @Option(
      names = "--touched",
      order = 22,
      paramLabel = "4K..4T",
      description =
          "native, kvm: how much of RAM the guest writes. Default: 64M, or all of RAM if it is"
              + " less.")
  void setTouched(String value) {
    touched = values("--touched").size(value, NativeProgram.PAGE, NativeProgram.MAX_RAM);
  }

  @Option(
      names = "--pattern",
      order = 23,
      paramLabel = "PATTERN",
      description =
          "native, kvm: where the guest writes: random, sequential, or hot, which is mostly in a"
              + " 64th of the pages. Default: hot.")
  void setPattern(String value) {
    String name = values("--pattern").choice(value, "random", "sequential", "hot");
    pattern = Pattern.valueOf(name.toUpperCase(Locale.ROOT));
  }

  @Option(
      names = "--rate",
      order = 24,
      paramLabel = "0..1000000000",
      description =
          "native, kvm: writes per second of each vCPU at the source, 0: no limit. Default: 200000.")
  void setRate(String value) {
    rate = values("--rate").number(value, 0, 1_000_000_000);
  }

  @Option(
      names = "--busy",
      order = 25,
      description =
          "native: compute between writes instead of waiting, so that a vCPU is never idle.")
  void setBusy(boolean value) {
    given.add("--busy");
    busy = value;
  }

  @Option(
      names = "--calls",
      order = 26,
      paramLabel = "1..10000000",
      description =
          "Calls (of each vCPU) until the guest's program ends; each prints a line. Default: 40,"
              + " native and kvm 10000.")
  void setCalls(String value) {
    calls = (int) values("--calls").number(value, 1, 10_000_000);
  }

  @Option(
      names = "--call-writes",
      order = 27,
      paramLabel = "1..100000000",
      description = "native, kvm: writes per call. Default: 500.")
  void setCallWrites(String value) {
    callWrites = (int) values("--call-writes").number(value, 1, 100_000_000);
  }

  @Option(
      names = "--safepoint-writes",
      order = 28,
      paramLabel = "1..1000000",
      description = "native: writes from one safepoint to the next. Default: 64.")
  void setSafepointWrites(String value) {
    safepointWrites = (int) values("--safepoint-writes").number(value, 1, 1_000_000);
  }

  @Option(
      names = "--tlb",
      order = 29,
      paramLabel = "0..4096",
      description =
          "native: entries of each vCPU's write TLB, a power of two; stores to a page in the TLB"
              + " do not read the dirty bit. 0: every store reads it. Default: 16.")
  void setTlb(String value) {
    Values values = values("--tlb");
    tlb = (int) values.number(value, 0, NativeProgram.MAX_TLB);
    if (Integer.bitCount(tlb) > 1) {
      throw values.bad(value, "0 or a power of two up to " + NativeProgram.MAX_TLB);
    }
  }

  @Option(
      names = "--seed",
      order = 30,
      paramLabel = "NUMBER",
      description = "native, kvm: seed of addresses and values. Default: 1.")
  void setSeed(String value) {
    seed = values("--seed").number(value, Long.MIN_VALUE, Long.MAX_VALUE);
  }

  /** {@return an option that was given, or null} */
  @Nullable String anyGiven() {
    return given.isEmpty() ? null : given.getFirst();
  }

  /**
   * Chooses, where nothing was given, what shows best that the barrier is missing: a vCPU that is
   * never idle, since coming back it would drop its write TLB, and that soon leaves a page for a
   * long time, since a later write would have it sent again.
   */
  void showLosses() {
    vcpus = given.contains("--vcpus") ? vcpus : 1;
    pattern = given.contains("--pattern") ? pattern : Pattern.SEQUENTIAL;
    rate = given.contains("--rate") ? rate : 500_000;
    busy = true;
    callWrites = given.contains("--call-writes") ? callWrites : 20_000;
    calls = given.contains("--calls") ? calls : 100;
  }

  /** {@return an option that was given and is not for every kind of guest, or null} */
  @Nullable String nativeGiven() {
    return given.stream().filter(option -> !option.equals("--calls")).findFirst().orElse(null);
  }

  /** {@return the program of a KVM guest} */
  KvmProgram kvmProgram() {
    for (String software : List.of("--busy", "--safepoint-writes", "--tlb")) {
      if (given.contains(software)) {
        throw new Values(spec, software).usage(software + " is for --guest native");
      }
    }
    atMost("--vcpus", vcpus, PageWriter.MAX_VCPUS);
    atMost("--ram", ram, KvmProgram.MAX_RAM);
    atMost("--call-writes", callWrites, PageWriter.MAX_ENTRIES);
    return new KvmProgram(program());
  }

  private void atMost(String option, long value, long most) {
    if (value > most) {
      throw new Values(spec, option)
          .bad(String.valueOf(value), "at most " + most + " with --backend kvm");
    }
  }

  /** {@return the calls that a guest of another kind makes} */
  int callsOr(int other) {
    return given.contains("--calls") ? calls : other;
  }

  /** {@return the program} */
  NativeProgram program() {
    if (ram < (vcpus + 1L) * NativeProgram.PAGE) {
      throw new Values(spec, "--ram")
          .bad(String.valueOf(ram), "a page more than --vcpus, at least");
    }
    if (touched > ram) {
      throw new Values(spec, "--touched").bad(String.valueOf(touched), "at most --ram, " + ram);
    }
    long used = touched == 0 ? Math.min(ram, DEFAULT_TOUCHED) : touched;
    return new NativeProgram(
        vcpus, ram, used, pattern, calls, callWrites, safepointWrites, rate, busy, tlb, seed);
  }
}
