import java.util.Random;

/** Plays for a minute, goes back through all of it, and plays the second half once more. */
final class Main {
  private static final int FRAMES = 3600;

  public static void main(String[] args) {
    boolean[] turns = new boolean[FRAMES];
    Random player = new Random(1983);
    int[] digests = new int[FRAMES];
    Console console = new Console();
    for (int frame = 0; frame < FRAMES; frame++) {
      turns[frame] = player.nextInt(20) == 0;
      console.frame(turns[frame]);
      digests[frame] = console.digest();
      console.states().rewind().save(); // Smudge
    }
    console.show();
    System.out.println(console.states().rewind()); // Smudge

    int frame = FRAMES - 1;
    while (console.states().rewind().back()) { // Smudge
      frame = (int) console.states().rewind().current(); // Smudge
      expect(digests[frame], console.digest(), "frame " + frame + " after going back");
    }
    console.states().rewind().jump(FRAMES / 2); // Smudge
    frame = (int) console.states().rewind().current(); // Smudge
    int from = frame;
    while (++frame < FRAMES) {
      console.frame(turns[frame]);
    }
    expect(digests[FRAMES - 1], console.digest(), "the end after a replay");
    console.states().close(); // Smudge
    System.out.println("console: replayed from frame " + from + ", with the same end");
  }

  private static void expect(int expected, int is, String where) {
    if (expected != is) {
      System.err.println(
          where + ": " + Integer.toHexString(is) + ", not " + Integer.toHexString(expected));
      System.exit(1);
    }
  }

  private Main() {}
}
