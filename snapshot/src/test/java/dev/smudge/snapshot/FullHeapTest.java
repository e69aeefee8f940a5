package dev.smudge.snapshot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.snapshot.Console.Content;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.testbase.HeapSqueeze;
import dev.smudge.testbase.OtherJvm;
import dev.smudge.testbase.StackSqueeze;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Memory runs out at some allocations of a call, at every one with {@code
 * -Dsmudge.fullHeapStride=1}: a state is there or it is not, and the file says the same as the
 * store. In a JVM of its own. Stacks that end are in {@link StackEndsTest}, over a disk in memory:
 * the JDK's own buffers of a thread may be of no use for files after such an error.
 */
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@Tag("once")
class FullHeapTest {
  /** What is cut short. */
  enum Call {
    SAVE,
    WRITE_CAPTURE,
    DELETE,
    IMPORT,
    RESTORE,
    COMPACT
  }

  /** A store whose calls are cut short, and what its states are. */
  static final class Squeezed {
    private final Call call;
    private final Path file;
    private final Path image;
    private final TreeMap<Long, Content> states = new TreeMap<>();
    private Console console = new Console();
    private @Nullable SnapshotStore<LogSlot> open;
    private byte value;
    private long target;
    private Content saved = console.content(); // what a call saves
    private SnapshotStore<LogSlot>.@Nullable Capture capture;

    private Squeezed(Call call, Path directory) {
      this.call = call;
      this.file = directory.resolve("states");
      this.image = directory.resolve("image");
    }

    /**
     * Cuts calls short, and prints how often.
     *
     * @param arguments the call, a directory, and how many times 32 bytes more each time
     */
    public static void main(String[] arguments) throws IOException {
      Call call = Call.valueOf(arguments[0]);
      int errors = new Squeezed(call, Path.of(arguments[1])).run(Integer.parseInt(arguments[2]));
      System.out.println(errors);
    }

    private SnapshotStore<LogSlot> store() {
      return Objects.requireNonNull(open);
    }

    private void open() throws IOException {
      console = new Console();
      open =
          SnapshotStore.open(
              file, console.log.client("store", InitialView.ALL_DIRTY), console, console);
    }

    private int run(int stride) throws IOException {
      Files.write(image, new byte[] {1, 2, 3});
      open();
      StackSqueeze.Look after = thrown -> after();
      int errors = HeapSqueeze.squeeze(stride, this::before, this::call, after);
      store().close();
      return errors;
    }

    private void write() {
      value++;
      console.poke(0, 3 * Console.PAGE, value);
      console.poke(0, 9 * Console.PAGE + value, value);
    }

    private void before() throws IOException {
      if (states.size() > 6) {
        store().close();
        Files.delete(file);
        states.clear();
        open();
      }
      write();
      states.put(store().save(), console.content());
      write();
      target = states.firstKey();
      if (states.size() < 2 || call == Call.COMPACT) {
        states.put(store().save(), console.content());
      }
      write();
      saved = console.content();
      if (call == Call.WRITE_CAPTURE) {
        capture = store().capture();
      } else if (call == Call.IMPORT) {
        Console imported = new Console();
        imported.ram[0][0] = 1;
        imported.ram[0][1] = 2;
        imported.ram[0][2] = 3;
        imported.registers = new byte[5];
        saved = imported.content();
      }
    }

    private void call() throws IOException {
      switch (call) {
        case SAVE -> store().save();
        case WRITE_CAPTURE -> Objects.requireNonNull(capture).write("captured");
        case DELETE -> store().delete(target);
        case IMPORT -> store().importImage(0, image, new byte[5], "imported");
        case RESTORE -> store().restore(target);
        case COMPACT -> store().compact();
      }
    }

    private static Set<Long> numbers(SnapshotStore<LogSlot> of) {
      return of.states().stream().map(SnapshotStore.State::number).collect(Collectors.toSet());
    }

    private void after() throws IOException {
      if (capture != null) {
        capture.close();
        capture = null;
      }
      Set<Long> now = numbers(store());
      for (long number : now) {
        states.putIfAbsent(number, saved);
      }
      states.keySet().retainAll(now);
      Content guest = console.content();
      boolean restored = call == Call.RESTORE && store().current() == target;
      checkStates();
      write();
      states.put(store().save(), console.content());
      store().close();
      open();
      assertEquals(states.keySet(), numbers(store()), "in the file");
      checkStates();
      assertTrue(restored || guest.equals(saved) || call == Call.IMPORT || call == Call.RESTORE);
    }

    private void checkStates() throws IOException {
      for (long number : states.keySet()) {
        store().restore(number);
        assertEquals(states.get(number), console.content(), "state " + number);
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void call_memoryRunsOut_aStateIsThereOrIsNot(Call call, @TempDir Path directory)
      throws Exception {
    String stride =
        System.getProperty("smudge.fullHeapStride", Boolean.getBoolean("smudge.all") ? "11" : "13");
    String output =
        OtherJvm.run(Squeezed.class, HeapSqueeze.FLAGS, call.name(), directory.toString(), stride);
    assertTrue(Integer.parseInt(output.strip()) >= 1, output);
  }
}
