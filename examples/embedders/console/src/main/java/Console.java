import java.util.Arrays;

/**
 * A console of two arrays: a ball flies over a screen of characters and leaves a trail, the player
 * turns it. Every store goes through {@link #poke}.
 */
final class Console {
  static final int WIDTH = 32;
  static final int HEIGHT = 16;
  private static final int X = 0;
  private static final int Y = 1;
  private static final int SCORE = 2;

  final int[] work = new int[2048]; // a cell per guest byte
  final int[] screen = new int[WIDTH * HEIGHT];
  int dx = 1; // registers, so to say
  int dy = 1;

  private final States states = new States(this); // Smudge

  States states() {
    return states;
  }

  /** Runs one frame. */
  void frame(boolean turn) {
    if (turn) {
      dx = -dx;
    }
    dx = work[X] + dx < 0 || work[X] + dx >= WIDTH ? -dx : dx;
    dy = work[Y] + dy < 0 || work[Y] + dy >= HEIGHT ? -dy : dy;
    int x = work[X] + dx;
    int y = work[Y] + dy;
    poke(work, X, x);
    poke(work, Y, y);
    poke(work, SCORE, work[SCORE] + screen[y * WIDTH + x] & 0xff);
    poke(screen, y * WIDTH + x, screen[y * WIDTH + x] + 1 & 0xff);
  }

  private void poke(int[] array, int index, int value) {
    array[index] = value;
    states.written(array, index); // Smudge
  }

  int digest() {
    return 31 * (31 * Arrays.hashCode(work) + Arrays.hashCode(screen)) + 5 * dx + dy;
  }

  void show() {
    for (int y = 0; y < HEIGHT; y++) {
      StringBuilder line = new StringBuilder();
      for (int x = 0; x < WIDTH; x++) {
        line.append(" .:+*#@".charAt(Math.min(6, screen[y * WIDTH + x] / 4)));
      }
      System.out.println(line);
    }
  }
}
