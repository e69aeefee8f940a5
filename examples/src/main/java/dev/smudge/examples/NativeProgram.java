package dev.smudge.examples;

import dev.smudge.core.GuestMemory;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * A program of writers in Java, for load and scale: each vCPU reads and overwrites words of a part
 * of RAM that is its own, in a pattern that follows from the seed, and prints after each call a
 * digest of all it has read. So a lost page shows in what is printed as soon as it is read again.
 *
 * <p>The first page is everyone's: each vCPU keeps its last digest there, and all count their calls
 * in one atomic counter. The pages that are written lie scattered over all of RAM.
 *
 * @param vcpus writers, 1 to 64
 * @param ram bytes, a multiple of 4096
 * @param touched bytes of RAM that are written at all; rounded to pages
 * @param pattern where each writes
 * @param calls how many calls each makes before it ends
 * @param callWrites writes of a call
 * @param safepointWrites writes from one safepoint to the next
 * @param rate writes a second of each vCPU at most; 0: as many as it can
 * @param busy whether a vCPU that is ahead of its rate computes, and stays online, or waits
 * @param tlb entries of each vCPU's write TLB, a power of two; 0: each store is a tracked one
 * @param seed of the addresses and values
 */
record NativeProgram(
    int vcpus,
    long ram,
    long touched,
    Pattern pattern,
    int calls,
    int callWrites,
    int safepointWrites,
    long rate,
    boolean busy,
    int tlb,
    long seed)
    implements Program {
  static final String KIND = "native";
  static final int PAGE = 4096;
  static final int MAX_VCPUS = 64;
  static final long MAX_RAM = 4L << 40;
  static final int MAX_TLB = 4096;
  static final long BASE = 0x8000_0000L;
  static final int SLOT = 0;

  /** Where all vCPUs count their calls, in the page that they share. */
  static final long COUNTER = BASE + PAGE - 8;

  NativeProgram {
    require(vcpus >= 1 && vcpus <= MAX_VCPUS, "vcpus", vcpus);
    require(ram >= (vcpus + 1L) * PAGE && ram <= MAX_RAM && ram % PAGE == 0, "ram", ram);
    require(touched >= 1, "touched", touched);
    require(calls >= 1, "calls", calls);
    require(callWrites >= 1, "callWrites", callWrites);
    require(safepointWrites >= 1, "safepointWrites", safepointWrites);
    require(rate >= 0, "rate", rate);
    require(tlb >= 0 && tlb <= MAX_TLB && (tlb & (tlb - 1)) == 0, "tlb", tlb);
  }

  private static void require(boolean holds, String name, long value) {
    if (!holds) {
      throw new IllegalArgumentException(
          "a native guest cannot have " + name + " " + value + " (with what else it was given)");
    }
  }

  /** {@return pages of one vCPU's part} */
  long partPages() {
    return (ram / PAGE - 1) / vcpus;
  }

  /** {@return how many of them it uses} */
  long usedPages() {
    return Math.clamp(touched / PAGE / vcpus, 1, partPages());
  }

  /** The page in RAM of the {@code n}th page that a vCPU uses; they are spread over its part. */
  long page(int vcpu, long n) {
    long stride = partPages() / usedPages();
    long jitter = stride == 1 ? 0 : Math.floorMod(mix(seed ^ (n << 8 | vcpu)), stride);
    return 1 + vcpu * partPages() + n * stride + jitter;
  }

  /** A bijection that leaves no pattern (the finaliser of SplitMix64). */
  static long mix(long value) {
    long z = value + 0x9e37_79b9_7f4a_7c15L;
    z = (z ^ (z >>> 30)) * 0xbf58_476d_1ce4_e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d0_49bb_1331_11ebL;
    return z ^ (z >>> 31);
  }

  @Override
  public String kind() {
    return KIND;
  }

  @Override
  public byte[] config() {
    return String.join(
            ",",
            "vcpus=" + vcpus,
            "ram=" + ram,
            "touched=" + touched,
            "pattern=" + pattern,
            "calls=" + calls,
            "callWrites=" + callWrites,
            "safepointWrites=" + safepointWrites,
            "rate=" + rate,
            "busy=" + busy,
            "tlb=" + tlb,
            "seed=" + seed)
        .getBytes(StandardCharsets.UTF_8);
  }

  /**
   * Reads {@link #config}.
   *
   * @throws IllegalArgumentException if it is not what {@code config} writes
   */
  static NativeProgram parse(byte[] config) {
    Map<String, String> values = new HashMap<>();
    String text = new String(config, StandardCharsets.UTF_8);
    for (String pair : text.split(",", -1)) {
      int equals = pair.indexOf('=');
      if (equals > 0) {
        values.put(pair.substring(0, equals), pair.substring(equals + 1));
      }
    }
    return new NativeProgram(
        (int) number(values, "vcpus"),
        number(values, "ram"),
        number(values, "touched"),
        Pattern.valueOf(values.getOrDefault("pattern", "").toUpperCase(Locale.ROOT)),
        (int) number(values, "calls"),
        (int) number(values, "callWrites"),
        (int) number(values, "safepointWrites"),
        number(values, "rate"),
        Boolean.parseBoolean(values.get("busy")),
        (int) number(values, "tlb"),
        number(values, "seed"));
  }

  private static long number(Map<String, String> values, String name) {
    String value = values.get(name);
    if (value == null) {
      throw new IllegalArgumentException("the native guest's configuration has no " + name);
    }
    return Long.parseLong(value); // NumberFormatException is an IllegalArgumentException
  }

  @Override
  public void addSlots(GuestMemory memory) {
    memory.addSlot(SLOT, BASE, ram, PAGE);
  }

  @Override
  public Guest boot(Machine machine, GuestOutput output) {
    return guest(vcpus(machine, output), machine, output);
  }

  @Override
  public Guest restore(Machine machine, byte[] state, GuestOutput output) {
    List<ByteBuffer> states = VcpuGuest.states(state, vcpus, NativeVcpu.STATE_SIZE);
    List<NativeVcpu> made = vcpus(machine, output);
    for (int index = 0; index < vcpus; index++) {
      made.get(index).load(states.get(index));
    }
    return guest(made, machine, output);
  }

  private List<NativeVcpu> vcpus(Machine machine, GuestOutput output) {
    List<NativeVcpu> made = new ArrayList<>();
    for (int index = 0; index < vcpus; index++) {
      made.add(new NativeVcpu(this, index, machine, output));
    }
    return made;
  }

  private static Guest guest(List<NativeVcpu> vcpus, Machine machine, GuestOutput output) {
    MemorySegment ram = machine.memory().slot(SLOT).ram();
    return new VcpuGuest(
        List.copyOf(vcpus), output, () -> ram.get(ValueLayout.JAVA_LONG, COUNTER - BASE));
  }

  @Override
  public Program unpaced() {
    return new NativeProgram(
        vcpus, ram, touched, pattern, calls, callWrites, safepointWrites, 0, busy, tlb, seed);
  }

  @Override
  public void footprint(GuestMemory memory, RangeConsumer sink) {
    sink.accept(BASE, PAGE);
    for (int vcpu = 0; vcpu < vcpus; vcpu++) {
      for (long n = 0; n < usedPages(); n++) {
        sink.accept(BASE + page(vcpu, n) * PAGE, PAGE);
      }
    }
  }
}
