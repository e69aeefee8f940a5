import dev.smudge.snapshot.SnapshotStore; // Smudge
import dev.smudge.sync.LogSlot; // Smudge
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * Runs a program from its begin to its end, with a save state every so often; then again from the
 * middle, in a machine that knows nothing but the file. Both have to end alike.
 */
final class Main {
  private static final long BETWEEN_STATES = 1_000_000; // instructions

  public static void main(String[] args) throws IOException {
    Path directory = Files.createTempDirectory("riscv");
    Path file = directory.resolve("states");
    int[] code = SortProgram.code();

    Hart first = new Hart(code);
    int states = 0;
    try (SnapshotStore<LogSlot> store = first.ram.states().open(file, first)) { // Smudge
      while (!first.ended()) {
        first.run(BETWEEN_STATES);
        store.save("after " + first.instructions()); // Smudge
        states++;
      }
      System.out.println(store); // Smudge
    }
    first.ram.states().close(); // Smudge

    Hart second = new Hart(new int[0]);
    long from;
    try (SnapshotStore<LogSlot> store = second.ram.states().open(file, second)) { // Smudge
      store.restore(store.states().get(states / 2).number()); // Smudge
      from = second.instructions();
      second.run(Long.MAX_VALUE / 2);
    }
    second.ram.states().close(); // Smudge
    try (var files = Files.list(directory)) {
      for (Path each : files.toList()) {
        Files.delete(each);
      }
    }
    Files.delete(directory);

    expect(
        first.ended() && first.result() == 0, "the program found itself wrong: " + first.result());
    expect(second.result() == 0, "the program that went on found itself wrong: " + second.result());
    expect(Arrays.equals(first.save(), second.save()), "the registers differ");
    expect(Arrays.equals(first.ram.bytes, second.ram.bytes), "the RAM differs");
    System.out.println(
        "riscv: sorted in "
            + first.instructions()
            + " instructions; went on from "
            + from
            + " in another machine, with the same end");
  }

  private static void expect(boolean condition, String otherwise) {
    if (!condition) {
      System.err.println(otherwise);
      System.exit(1);
    }
  }

  private Main() {}
}
