package dev.smudge.examples;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.smudge.core.GuestMemory;
import dev.smudge.core.Vcpu;
import dev.smudge.endive.TrackedMemory;
import io.roastedroot.quickjs4j.core.Builtins;
import io.roastedroot.quickjs4j.core.Engine;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * QuickJS on Endive, over tracked RAM, one vCPU. Between two calls the whole state of the guest is
 * its linear memory, and how many pages that has: the module's one mutable global, the stack
 * pointer, is back at its first value, its table never changes, and the host keeps nothing for it.
 */
final class QuickJsGuest implements Guest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int STATE_SIZE = 8;

  private final QuickJsProgram program;
  private final GuestOutput output;
  private final TrackedMemory memory;
  private final Engine engine;
  private final CompletableFuture<@Nullable Void> completion = new CompletableFuture<>();
  private @Nullable String printed;
  private @Nullable Thread thread;
  private int nextCall;
  private volatile boolean stopping;

  private QuickJsGuest(QuickJsProgram program, GuestMemory guestMemory, GuestOutput output) {
    this.program = program;
    this.output = output;
    Vcpu vcpu = guestMemory.addVcpu();
    TrackedMemory[] made = new TrackedMemory[1];
    this.engine =
        Engine.builder()
            .withMemoryFactory(limits -> {
              made[0] = TrackedMemory.over(guestMemory.slot(QuickJsProgram.SLOT), vcpu, limits);
              return made[0];
            })
            .addBuiltins(
                Builtins.builder("host").addStringToVoid("print", line -> printed = line).build())
            .build();
    this.memory = Objects.requireNonNull(made[0]);
  }

  /** A guest with the program loaded, at its first call. */
  static QuickJsGuest boot(QuickJsProgram program, GuestMemory memory, GuestOutput output) {
    QuickJsGuest guest = new QuickJsGuest(program, memory, output);
    guest.evaluate(QuickJsProgram.library());
    List<String> texts = new ArrayList<>();
    for (String text : QuickJsProgram.texts()) {
      texts.add(quote(text));
    }
    guest.run("globalThis.texts = [" + String.join(",", texts) + "];");
    guest.evaluate(QuickJsProgram.driver());
    guest.memory.vcpu().offline();
    return guest;
  }

  /**
   * A guest that goes on where another was stopped. The start of an engine writes RAM, so what came
   * from the source is put aside meanwhile: afterwards RAM is what it was.
   */
  static QuickJsGuest restore(
      QuickJsProgram program, GuestMemory guestMemory, byte[] state, GuestOutput output) {
    if (state.length != STATE_SIZE) {
      throw new IllegalArgumentException(
          "the state of a quickjs guest has " + STATE_SIZE + " bytes, not " + state.length);
    }
    ByteBuffer registers = ByteBuffer.wrap(state);
    int pages = registers.getInt();
    int nextCall = registers.getInt();
    long size = (long) pages * TrackedMemory.PAGE_SIZE;
    if (pages < 1 || size > guestMemory.slot(QuickJsProgram.SLOT).size()) {
      throw new IllegalArgumentException("a quickjs guest cannot have " + pages + " pages");
    }
    byte[] ram = new byte[(int) size];
    guestMemory.device().read(0, java.lang.foreign.MemorySegment.ofArray(ram));
    guestMemory.device().fill(0, size, (byte) 0);
    QuickJsGuest guest = new QuickJsGuest(program, guestMemory, output);
    int missing = pages - guest.memory.pages();
    if (missing < 0 || guest.memory.grow(missing) < 0) {
      throw new IllegalArgumentException(
          "a quickjs guest has at least " + guest.memory.pages() + " pages, not " + pages);
    }
    guest.memory.write(0, ram);
    guest.memory.vcpu().offline();
    guest.nextCall = nextCall;
    if (nextCall >= program.calls()) {
      guest.completion.complete(null);
    }
    return guest;
  }

  private void evaluate(String script) {
    run("(0, eval)(" + quote(script) + ");"); // a script, not a module: its globals stay
  }

  private void run(String module) {
    int code = engine.compile(module);
    try {
      engine.exec(code);
    } finally {
      engine.free(code);
    }
  }

  private static String quote(String text) {
    try {
      return JSON.writeValueAsString(text);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }

  @Override
  public void start() {
    if (completion.isDone()) {
      return;
    }
    stopping = false;
    thread = Thread.ofPlatform().name("vcpu-0").daemon().start(this::run);
  }

  private void run() {
    try {
      while (!stopping && nextCall < program.calls()) {
        printed = null;
        run("host.print(step(" + nextCall + "))");
        output.line(0, Objects.requireNonNull(printed, "the program printed nothing"));
        nextCall++;
      }
      memory.vcpu().offline();
      if (nextCall >= program.calls()) {
        completion.complete(null);
      }
    } catch (RuntimeException | Error e) {
      completion.completeExceptionally(e);
    }
  }

  @Override
  public void stop() {
    stopping = true;
    Thread running = thread;
    if (running != null) {
      Guest.join(List.of(running));
    }
    thread = null;
  }

  @Override
  public void limitDirtyRate(long bytesPerSecond) {
    memory.vcpu().limitDirtyRate(bytesPerSecond);
  }

  @Override
  public byte[] state() {
    return ByteBuffer.allocate(STATE_SIZE).putInt(memory.pages()).putInt(nextCall).array();
  }

  @Override
  public CompletableFuture<@Nullable Void> completion() {
    return completion;
  }

  @Override
  public void close() {
    stop();
    engine.close();
    memory.vcpu().close();
  }
}
