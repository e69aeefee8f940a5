package dev.smudge.sync;

import dev.smudge.testbase.StackSqueeze;

/**
 * A device's first marks, or the first pauses, each with a little more stack than the one before,
 * until one gets through; then the page has to be dirty. In a JVM in which there was none yet.
 */
final class FirstCallProgram {
  private static final int PAGES = 8;

  private final DirtyLog log = DirtyLog.create();
  private final LogSlot slot = log.addSlot(0, PAGES, 4096);
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
    int frames = 1;
    Throwable thrown = StackSqueeze.callAbove(frames, this::call);
    while (thrown != null) { // with a little more, then
      if (!(thrown instanceof StackOverflowError)) {
        throw new AssertionError("with a stack of " + frames + " frames", thrown);
      }
      frames++;
      thrown = StackSqueeze.callAbove(frames, this::call);
    }
    if (pauses) {
      log.mark(slot, 3 * 4096, 1);
    }
    boolean[] found = new boolean[1]; // others may be dirty too, of a mark that was cut short
    try (DirtyBatch<LogSlot> batch = client.take()) {
      batch.forEachRun((of, first, count) -> found[0] |= first <= 3 && 3 < first + count);
    }
    if (!found[0]) {
      throw new AssertionError("page 3 is not dirty");
    }
  }

  private void call() {
    if (pauses) {
      log.pause().close();
    } else {
      log.mark(slot, 3 * 4096, 1);
    }
  }
}
