import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.core.Vcpu;
import dev.smudge.endive.SandboxImage;
import dev.smudge.endive.TrackedMemory;
import java.io.IOException;
import java.io.InputStream;
import run.endive.runtime.ExportFunction;
import run.endive.runtime.Instance;
import run.endive.wasm.Parser;
import run.endive.wasm.WasmModule;

/** A host that answers each request in a sandbox as good as new, without making a new one. */
final class Main {
  private static final int REQUESTS = 10_000;

  public static void main(String[] args) throws IOException {
    WasmModule module;
    try (InputStream in = Main.class.getResourceAsStream("/guest.wasm")) {
      module = Parser.parse(in.readAllBytes());
    }
    try (GuestMemory memory = GuestMemory.create(); // Smudge
        Vcpu vcpu = memory.addVcpu()) { // Smudge
      GuestSlot slot = memory.addSlot(0, 0, 4 << 20); // Smudge: the most it may grow to
      Instance guest =
          Instance.builder(module)
              .withMemoryFactory(limits -> TrackedMemory.over(slot, vcpu, limits)) // Smudge
              .build();
      ExportFunction handle = guest.export("handle");
      long pages = 0;
      long began = System.nanoTime();
      try (SandboxImage image = SandboxImage.of(memory, (TrackedMemory) guest.memory())) { // Smudge
        for (int request = 0; request < REQUESTS; request++) {
          expect(2, handle.apply(request)[0], "request " + request + " in a sandbox of its own");
          pages += image.restore(); // Smudge
        }
      }
      long each = (System.nanoTime() - began) / REQUESTS;
      handle.apply(1);
      expect(4, handle.apply(2)[0], "a second request without a reset"); // so the traces are real
      System.out.printf(
          "wasm: %d requests, %d ns each with its reset, %.1f pages written back%n",
          REQUESTS, each, (double) pages / REQUESTS);
    }
  }

  private static void expect(long expected, long is, String what) {
    if (expected != is) {
      System.err.println(what + ": the guest has counted " + is + ", not " + expected);
      System.exit(1);
    }
  }

  private Main() {}
}
