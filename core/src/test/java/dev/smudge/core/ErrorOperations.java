package dev.smudge.core;

import static dev.smudge.core.ErrorWorld.EXTRA;
import static dev.smudge.core.ErrorWorld.FREE;
import static dev.smudge.core.ErrorWorld.PAGE;
import static dev.smudge.core.ErrorWorld.SIZE;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.RemovedSlot;
import dev.smudge.sync.pages.PagePort;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Objects;
import java.util.function.Consumer;

/** What is done with guest memory, and may be cut short anywhere. */
final class ErrorOperations {
  private ErrorOperations() {}

  /** What is cut short, with what comes before and after it. */
  record Operation(
      String name,
      Consumer<ErrorWorld> before,
      Consumer<ErrorWorld> call,
      Consumer<ErrorWorld> after) {
    Operation(String name, Consumer<ErrorWorld> call) {
      this(name, w -> {}, call, w -> {});
    }

    /** Whether the call can be made once more without what comes after it. */
    boolean isRepeatable() {
      return !name.startsWith("begin") && !name.contains("client") && !name.equals("fork");
    }

    @Override
    public String toString() {
      return name;
    }
  }

  private static void change(ErrorWorld w, Consumer<SlotTransaction> steps) {
    try (SlotTransaction change = w.memory.beginTransaction()) {
      steps.accept(change);
      change.commit();
      change.removed().forEach(RemovedSlot::close);
    }
  }

  private static final long AT = SIZE - PAGE - 5; // three pages over the border of slots 0 and 1

  static List<Operation> operations() {
    return List.of(
        new Operation("vCPU write", w -> w.vcpu.write(AT, w.bytes, 0, w.bytes.length)),
        new Operation("vCPU fill", w -> w.vcpu.fill(AT, w.bytes.length, w.bytes[0])),
        new Operation("vCPU copy", w -> w.vcpu.copy(5 * PAGE, AT, w.bytes.length)),
        new Operation("vCPU long over a border", w -> w.vcpu.putLong(SIZE - 3, w.bytes[0])),
        new Operation(
            "device write", w -> w.memory.device().write(AT, MemorySegment.ofArray(w.bytes))),
        new Operation("device fill", w -> w.memory.device().fill(AT, 2 * PAGE, w.bytes[0])),
        new Operation("device long", w -> w.memory.device().putLong(AT, w.bytes[0])),
        new Operation("device long over a border", w -> w.memory.device().putLong(SIZE - 3, 5)),
        new Operation("release", w -> w.memory.device().release(AT, 2 * PAGE)),
        new Operation(
            "write as a client",
            w -> {},
            w -> {
              MemorySegment all = MemorySegment.ofArray(w.bytes);
              w.memory.device().writeAs(w.clients.getFirst(), AT, all);
            },
            w -> // a client knows what it writes itself
            w.memory.device().read(AT, w.copies.getFirst().asSlice(AT, w.bytes.length))),
        new Operation(
            "asynchronous write",
            w -> {
              try (AsyncWrite write = w.memory.device().beginWrite(AT - PAGE, PAGE)) {
                write.target().fill(w.bytes[0]);
              }
            }),
        new Operation(
            "begin of an asynchronous write",
            w -> {},
            w -> w.write = w.memory.device().beginWrite(AT - PAGE, PAGE),
            w -> {
              if (w.write != null) {
                w.write.close();
                w.write = null;
              }
              w.memory.seal(); // waits for those that are open
              w.memory.unseal();
            }),
        new Operation(
            "listener",
            w -> w.closed = 0,
            w -> w.listener = w.memory.addListener(0, w.new Closed()),
            w -> {
              if (w.listener != null) {
                w.listener.close();
                w.listener = null;
              }
              w.memory.log().sync();
              w.memory.log().rcu().barrier();
              assertTrue(w.closed <= 1, "closed " + w.closed + " times");
            }),
        new Operation(
            "vCPU atomics",
            w -> {
              w.vcpu.atomics().getAndAdd(PAGE, 8, w.bytes[0]);
              w.vcpu.atomics().putVolatile(SIZE + PAGE, 4, w.bytes[1]);
            }),
        new Operation(
            "window",
            w -> {
              MemorySegment ram = w.vcpu.window(3 * PAGE + 50, 2 * PAGE).ram();
              ram.fill(w.bytes[0]); // before the next safepoint
            }),
        new Operation(
            "task", w -> w.task = w.vcpu.runOnVcpu(() -> w.vcpu.putLong(PAGE, w.bytes[0]))),
        new Operation(
            "write to pages that are watched",
            ErrorWorld::armPages,
            w -> {
              w.vcpu.putLong(6 * PAGE, w.bytes[0]);
              w.memory.device().putLong(7 * PAGE, w.bytes[0]);
            },
            ErrorWorld::checkPages),
        new Operation(
            "arming of watched pages",
            ErrorWorld::pages,
            ErrorWorld::armPages,
            w -> {
              w.checkPages();
              w.closePages();
            }),
        new Operation(
            "watch of bytes",
            w -> {},
            w -> {
              w.watch = w.memory.watchBytes(8 * PAGE, 8, (at, length) -> w.told++);
              w.vcpu.putLong(8 * PAGE, w.bytes[0]);
            },
            w -> {
              if (w.watch != null) {
                w.watch.close();
                w.watch = null;
              }
            }),
        new Operation(
            "discard",
            w -> {},
            w -> w.clients.getFirst().discard(w.memory.slot(1), 3, 20),
            w -> { // what they have does not matter to that client
              long at = SIZE + 3 * PAGE;
              w.memory.device().read(at, w.copies.getFirst().asSlice(at, 20 * PAGE));
            }),
        new Operation(
            "fork",
            w -> {},
            w -> w.extraClient = w.clients.getFirst().fork("fork"),
            w -> w.checkExtraClient(w.copyOf(w.copies.getFirst()))),
        new Operation(
            "start of a client",
            w -> {},
            w -> w.extraClient = w.memory.client("new", InitialView.NONE_DIRTY),
            w -> w.checkExtraClient(w.copyOfRam())),
        new Operation(
            "end of a client",
            w -> w.extraClient = w.memory.client("old", InitialView.ALL_DIRTY),
            w -> Objects.requireNonNull(w.extraClient).close(),
            w -> {
              Objects.requireNonNull(w.extraClient).close();
              w.extraClient = null;
            }),
        new Operation(
            "end of a vCPU",
            w -> {
              Vcpu other = w.memory.addVcpu();
              other.putLong(9 * PAGE, w.bytes[0]);
              other.offline();
              w.otherVcpu = other;
            },
            w -> Objects.requireNonNull(w.otherVcpu).close(),
            w -> Objects.requireNonNull(w.otherVcpu).close()),
        new Operation("seal", w -> {}, w -> w.memory.seal(), w -> w.memory.unseal()),
        new Operation(
            "take, and read of pages",
            w -> {},
            w -> {
              DirtyBatch<GuestSlot> taken = w.clients.getFirst().take();
              w.batch = taken;
              w.copyOut(0, taken);
            },
            w -> {
              if (w.batch != null) {
                w.batch.close();
              }
            }),
        new Operation("touched pages", w -> w.memory.pages().nextTouchedPage(w.memory.slot(0), 0)),
        new Operation(
            "read by a port",
            w -> {
              PagePort<GuestSlot> port = w.memory.pages();
              port.read(w.memory.slot(0), 3, new byte[PAGE]);
            }),
        new Operation(
            "add", ErrorWorld::dropExtra, w -> w.memory.addSlot(EXTRA, FREE, SIZE), w -> {}),
        new Operation(
            "remove",
            w -> {
              w.dropExtra();
              w.addExtra();
            },
            w -> w.removed = w.memory.removeSlot(EXTRA),
            w -> {
              if (w.removed == null && !w.has(EXTRA)) {
                w.removed = w.memory.removeSlot(EXTRA); // its RAM is not lost
              }
              w.dropExtra();
            }),
        new Operation(
            "close of what was removed",
            w -> {
              w.dropExtra();
              w.addExtra();
              w.removed = w.memory.removeSlot(EXTRA);
            },
            w -> {
              if (w.removed != null) {
                w.removed.close();
              }
            },
            ErrorWorld::dropExtra),
        new Operation(
            "grow",
            w -> {
              w.dropExtra();
              w.addExtra();
            },
            w -> change(w, change -> change.resize(EXTRA, 2 * SIZE)),
            w -> {}),
        new Operation(
            "growth, tried again",
            w -> {
              w.dropExtra();
              w.addExtra();
              w.change = w.memory.beginTransaction().resize(EXTRA, 2 * SIZE);
            },
            ErrorWorld::commit,
            ErrorWorld::commitAgain),
        new Operation(
            "add, tried again",
            w -> {
              w.dropExtra();
              w.change = w.memory.beginTransaction().add(EXTRA, FREE, 2 * SIZE, PAGE);
            },
            ErrorWorld::commit,
            ErrorWorld::commitAgain),
        new Operation(
            "shrink",
            w -> {
              w.dropExtra();
              w.addExtra();
            },
            w -> change(w, change -> change.resize(EXTRA, SIZE / 2)),
            w -> {}),
        new Operation(
            "split and merge",
            w -> {
              if (w.has(8)) {
                change(w, change -> change.merge(0, 8));
              }
            },
            w -> change(w, change -> change.split(0, SIZE / 2, 8)),
            w -> {}),
        new Operation(
            "steps",
            w -> {
              if (w.has(8)) {
                change(w, change -> change.merge(0, 8));
              }
              w.change = w.memory.beginTransaction();
            },
            w -> Objects.requireNonNull(w.change).split(0, SIZE / 2, 8),
            ErrorWorld::commitIfWhole),
        new Operation(
            "steps inside",
            w -> {
              if (w.has(8)) {
                change(w, change -> change.merge(0, 8));
              }
              w.change = w.memory.beginTransaction().split(0, SIZE / 2, 8);
              w.inside = w.memory.beginTransaction().merge(0, 8);
            },
            w -> Objects.requireNonNull(w.inside).close(),
            w -> {
              Objects.requireNonNull(w.inside).close(); // again, if that was cut short
              w.commitIfWhole();
            }),
        new Operation(
            "replace RAM",
            w -> {},
            w -> change(w, change -> change.replaceRam(1, w.given.asSlice(0, SIZE))),
            w -> {}),
        new Operation(
            "pause of all",
            w -> {},
            w -> w.pause = w.memory.pauseAll(),
            w -> {
              if (w.pause != null) {
                w.pause.close();
                w.pause = null;
              }
            }));
  }
}
