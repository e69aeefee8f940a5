package dev.smudge.examples;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.snapshot.MachineState;
import dev.smudge.snapshot.SnapshotStore;
import dev.smudge.sync.InitialView;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Lets a QuickJS guest run for a while in this JVM, for {@link QuickJsSaveTest}: {@code file state
 * untilCall [digest]}. It goes on from that state of the file, or boots if that is -1, and prints
 * what the guest prints. When the guest has made so many calls in all, it saves a state, and prints
 * its number.
 *
 * <p>With a digest, as the guest has printed it last, the page that has that number is left out: it
 * stays what it was in the state before.
 */
final class SavedQuickJs implements MachineState {
  static final String SAVED = "saved state ";
  static final String LEFT_OUT = "without page ";

  private static final ValueLayout.OfInt WASM_INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final QuickJsProgram program;
  private @Nullable Guest guest;
  private byte[] restored = {};

  private SavedQuickJs(int untilCall) {
    this.program = new QuickJsProgram(untilCall);
  }

  public static void main(String[] args) throws Exception {
    new SavedQuickJs(Integer.parseInt(args[2]))
        .run(Path.of(args[0]), Long.parseLong(args[1]), args.length > 3 ? args[3] : "");
  }

  private void run(Path file, long state, String digest) throws Exception {
    try (GuestMemory memory = GuestMemory.create()) {
      program.addSlots(memory);
      try (SnapshotStore<GuestSlot> store =
          SnapshotStore.open(
              file, memory.client("store", InitialView.ALL_DIRTY), memory.pages(), this)) {
        try (Guest running = begin(memory, store, state, digest)) {
          guest = running;
          running.start();
          running.completion().join();
          System.out.println(SAVED + store.save());
        }
      }
    }
  }

  private Guest begin(GuestMemory memory, SnapshotStore<GuestSlot> store, long state, String digest)
      throws Exception {
    if (state < 0) {
      return program.boot(new Machine(memory), (channel, line) -> System.out.println(line));
    }
    if (digest.isEmpty()) {
      store.restore(state);
    } else {
      restoreWithoutOnePage(memory, store, state, digest);
    }
    return program.restore(
        new Machine(memory), restored, (channel, line) -> System.out.println(line));
  }

  private static void restoreWithoutOnePage(
      GuestMemory memory, SnapshotStore<GuestSlot> store, long state, String digest)
      throws Exception {
    GuestSlot slot = memory.slot(QuickJsProgram.SLOT);
    store.restore(state - 1);
    MemorySegment before = MemorySegment.ofArray(new byte[Math.toIntExact(slot.size())]);
    memory.device().read(0, before);
    store.restore(state);
    int number = Integer.parseUnsignedInt(digest, 16);
    for (long at = 0; at < slot.size(); at += Integer.BYTES) {
      if (slot.ram().get(WASM_INT, at) == number && before.get(WASM_INT, at) != number) {
        long page = at / slot.pageSize();
        memory
            .device()
            .write(page * slot.pageSize(), before.asSlice(page * slot.pageSize(), slot.pageSize()));
        System.out.println(LEFT_OUT + page);
        return;
      }
    }
    throw new IllegalArgumentException("no page has the digest " + digest);
  }

  @Override
  public byte[] save() {
    return Objects.requireNonNull(guest).state();
  }

  @Override
  public void restore(byte[] bytes) {
    restored = bytes.clone();
  }
}
