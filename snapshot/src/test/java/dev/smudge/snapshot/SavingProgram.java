package dev.smudge.snapshot;

import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Saves states until it is killed, by {@link KilledProcessTest}: {@code file seed}. It says what it
 * has done, and before a deletion what it is about to do. All of a state, its name too, follows
 * from its number.
 */
final class SavingProgram {
  private static final int MOST_STATES = 24;

  private SavingProgram() {}

  public static void main(String[] args) throws Exception {
    Console console = new Console();
    SplittableRandom random = new SplittableRandom(Long.parseLong(args[1]));
    try (SnapshotStore<LogSlot> store =
        SnapshotStore.open(
            Path.of(args[0]),
            console.log.client("store", InitialView.ALL_DIRTY),
            console,
            console)) {
      say("open", 0);
      long next = 1 + store.states().stream().mapToLong(s -> s.number()).max().orElse(-1);
      while (true) {
        List<SnapshotStore.State> states = store.states();
        long any = states.isEmpty() ? -1 : states.get(random.nextInt(states.size())).number();
        if (any >= 0 && random.nextInt(4) == 0) {
          store.restore(any); // a branch
        }
        become(console, next);
        say("saved", store.save(name(next)));
        next++;
        if (states.size() > MOST_STATES && any < store.current()) {
          say("deleting", any);
          store.delete(any);
          say("deleted", any);
          if (random.nextInt(16) == 0) {
            store.compact();
          }
        }
      }
    }
  }

  private static void say(String what, long state) {
    System.out.println(what + " " + state);
  }

  static String name(long state) {
    return "the state number " + state;
  }

  /**
   * The guest becomes what it is in a state. Some of its pages change with each number, others with
   * each 128th.
   */
  static void become(Console console, long state) {
    for (int chip = 0; chip < 2; chip++) {
      byte[] ram = console.ram[chip];
      for (int at = 0; at < ram.length; at += Console.PAGE) {
        int length = Math.min(Console.PAGE, ram.length - at);
        SplittableRandom random = new SplittableRandom(at + chip);
        random = new SplittableRandom(random.nextLong() + state / (1 << random.nextInt(8)));
        byte[] page = new byte[random.nextInt(4) == 0 ? 0 : length]; // or it is zero again
        random.nextBytes(page);
        page = Arrays.copyOf(page, length);
        if (Arrays.mismatch(page, 0, length, ram, at, at + length) >= 0) {
          System.arraycopy(page, 0, ram, at, length);
          console.log.mark(console.slots[chip], at, length);
        }
      }
    }
    int size = state % 4 == 3 ? 3 << 20 : (int) (state % 100) + 8; // 3 MiB: several records
    console.registers = ByteBuffer.allocate(size).putLong(size - 8, state).array();
  }
}
