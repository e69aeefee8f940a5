package dev.smudge.examples;

import dev.smudge.core.GuestMemory;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/** The vCPUs of a {@link NativeProgram}, a thread each while they run. */
final class NativeGuest implements Guest {
  private final NativeProgram program;
  private final GuestMemory memory;
  private final GuestOutput output;
  private final List<NativeVcpu> vcpus = new ArrayList<>();
  private final AtomicInteger running = new AtomicInteger();
  private final CompletableFuture<@Nullable Void> completion = new CompletableFuture<>();
  private List<Thread> threads = List.of();
  private volatile boolean stopping;

  /** A guest in the given state; at the beginning if that is empty. */
  NativeGuest(NativeProgram program, GuestMemory memory, GuestOutput output, byte[] state) {
    this.program = program;
    this.memory = memory;
    this.output = output;
    ByteBuffer registers = ByteBuffer.wrap(state);
    for (int index = 0; index < program.vcpus(); index++) {
      NativeVcpu vcpu = new NativeVcpu(program, index, memory, output);
      vcpus.add(vcpu);
      if (state.length > 0) {
        vcpu.load(registers);
      }
    }
    if (allEnded()) {
      completion.complete(null);
    }
  }

  private boolean allEnded() {
    return vcpus.stream().allMatch(NativeVcpu::ended);
  }

  @Override
  public void start() {
    if (completion.isDone()) {
      return;
    }
    stopping = false;
    running.set(vcpus.size());
    List<Thread> started = new ArrayList<>();
    for (NativeVcpu vcpu : vcpus) {
      started.add(
          Thread.ofPlatform().name("vcpu-" + started.size()).daemon().start(() -> run(vcpu)));
    }
    threads = started;
  }

  private void run(NativeVcpu vcpu) {
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
    long calls =
        memory
            .slot(NativeProgram.SLOT)
            .ram()
            .get(ValueLayout.JAVA_LONG, NativeProgram.COUNTER - NativeProgram.BASE);
    output.line(program.vcpus(), String.format(Locale.ROOT, "all vCPUs: %d calls", calls));
    completion.complete(null);
  }

  @Override
  public void stop() throws InterruptedException {
    stopping = true;
    for (Thread thread : threads) {
      thread.join();
    }
    threads = List.of();
  }

  @Override
  public byte[] state() {
    ByteBuffer registers = ByteBuffer.allocate(vcpus.size() * NativeVcpu.STATE_SIZE);
    vcpus.forEach(vcpu -> vcpu.store(registers));
    return registers.array();
  }

  @Override
  public CompletableFuture<@Nullable Void> completion() {
    return completion;
  }

  @Override
  public void close() {
    boolean interrupted = false;
    for (boolean stopped = false; !stopped; ) {
      try {
        stop();
        stopped = true;
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    vcpus.forEach(NativeVcpu::close);
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
