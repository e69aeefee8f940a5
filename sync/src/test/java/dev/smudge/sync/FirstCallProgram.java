package dev.smudge.sync;

/**
 * A device's first marks, or the first pauses, each with a little more stack than the one before,
 * until one gets through; then the page has to be dirty. In a JVM in which there was none yet.
 */
final class FirstCallProgram {
  private static final int PAGES = 8;

  private final DirtyLog log = DirtyLog.create();
  private final LogSlot slot = log.addSlot(0, PAGES, 4096);
  private int frames;
  private boolean through;
  private final boolean pauses;

  private FirstCallProgram(boolean pauses) {
    this.pauses = pauses;
  }

  /** Ends with status 1 if a call fails for another reason than its stack. */
  public static void main(String[] arguments) throws InterruptedException {
    Throwable[] failed = new Throwable[1];
    Thread thread =
        new Thread(
            null,
            () -> new FirstCallProgram(arguments[0].equals("pause")).run(),
            "device",
            300_000);
    thread.setUncaughtExceptionHandler((t, e) -> failed[0] = e);
    thread.start();
    thread.join();
    if (failed[0] != null) {
      throw new AssertionError(failed[0]);
    }
  }

  private void run() {
    DirtyClient<LogSlot> client = log.client("c", InitialView.NONE_DIRTY);
    log.mark(slot, 0, 0); // all of a mark but the mark
    for (frames = 1; !through; frames++) {
      try {
        descend();
      } catch (StackOverflowError e) {
        // with a little more, then
      }
    }
    if (pauses) {
      log.mark(slot, 3 * 4096, 1);
    }
    try (DirtyBatch<LogSlot> batch = client.take()) {
      if (batch.pageCount() != 1) {
        throw new AssertionError(batch.pageCount() + " pages");
      }
    }
  }

  /** To the end of the stack; on the way back, so many frames above it, makes the call. */
  @SuppressWarnings("InfiniteRecursion") // ends by an error
  private int descend() {
    int height;
    try {
      height = descend() + 1;
    } catch (StackOverflowError e) {
      height = 0;
    }
    if (height == frames) {
      if (pauses) {
        log.pause().close();
      } else {
        log.mark(slot, 3 * 4096, 1);
      }
      through = true;
    }
    return height;
  }
}
