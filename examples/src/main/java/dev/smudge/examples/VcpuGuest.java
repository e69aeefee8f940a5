package dev.smudge.examples;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/** A guest that is some vCPUs, a thread each while they run. */
final class VcpuGuest implements Guest {
  private final List<GuestVcpu> vcpus;
  private final GuestOutput output;
  private final LongSupplier callsInRam;
  private final AtomicInteger running = new AtomicInteger();
  private final CompletableFuture<@Nullable Void> completion = new CompletableFuture<>();
  private List<Thread> threads = List.of();
  private volatile boolean stopping;

  /**
   * Makes a guest of vCPUs that do not run.
   *
   * @param vcpus the vCPUs, closed with it
   * @param output gets the last line
   * @param callsInRam reads what the last line says, when all have ended
   */
  VcpuGuest(List<GuestVcpu> vcpus, GuestOutput output, LongSupplier callsInRam) {
    this.vcpus = List.copyOf(vcpus);
    this.output = output;
    this.callsInRam = callsInRam;
    if (allEnded()) {
      completion.complete(null);
    }
  }

  /** The states of a guest's vCPUs, one after the other. */
  static List<ByteBuffer> states(byte[] state, int vcpus, int size) {
    if (state.length != vcpus * size) {
      throw new IllegalArgumentException(
          String.format(
              Locale.ROOT,
              "the state of %d vCPUs has %d bytes, not %d",
              vcpus,
              vcpus * size,
              state.length));
    }
    List<ByteBuffer> states = new ArrayList<>();
    for (int vcpu = 0; vcpu < vcpus; vcpu++) {
      states.add(ByteBuffer.wrap(state, vcpu * size, size).slice());
    }
    return states;
  }

  private boolean allEnded() {
    return vcpus.stream().allMatch(GuestVcpu::ended);
  }

  @Override
  public void start() {
    if (completion.isDone()) {
      return;
    }
    stopping = false;
    running.set(vcpus.size());
    List<Thread> started = new ArrayList<>();
    for (GuestVcpu vcpu : vcpus) {
      started.add(
          Thread.ofPlatform().name("vcpu-" + started.size()).daemon().start(() -> run(vcpu)));
    }
    threads = started;
  }

  private void run(GuestVcpu vcpu) {
    try {
      vcpu.run(() -> stopping);
      if (running.decrementAndGet() == 0 && allEnded()) {
        end();
      }
    } catch (RuntimeException | Error e) {
      completion.completeExceptionally(e);
    }
  }

  /** In the thread that ends last: the others' writes came before their decrement. */
  private void end() {
    long calls = callsInRam.getAsLong();
    output.line(vcpus.size(), String.format(Locale.ROOT, "all vCPUs: %d calls", calls));
    completion.complete(null);
  }

  @Override
  public void stop() {
    stopping = true;
    vcpus.forEach(GuestVcpu::kick);
    Guest.join(threads);
    threads = List.of();
  }

  @Override
  public void limitDirtyRate(long bytesPerSecond) {
    long each =
        bytesPerSecond == Long.MAX_VALUE
            ? bytesPerSecond
            : Math.max(1, bytesPerSecond / vcpus.size());
    vcpus.forEach(vcpu -> vcpu.limitDirtyRate(each));
  }

  @Override
  public byte[] state() {
    ByteArrayOutputStream state = new ByteArrayOutputStream();
    vcpus.forEach(vcpu -> state.writeBytes(vcpu.state()));
    return state.toByteArray();
  }

  @Override
  public CompletableFuture<@Nullable Void> completion() {
    return completion;
  }

  @Override
  public void close() {
    stop();
    vcpus.forEach(GuestVcpu::close);
  }
}
