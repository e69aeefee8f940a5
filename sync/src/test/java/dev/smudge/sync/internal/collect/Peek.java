package dev.smudge.sync.internal.collect;

import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.internal.facade.ApiAccess;

/** Looks at what the collector keeps, for tests of invariants. Nothing else may run meanwhile. */
public final class Peek {
  private Peek() {}

  /** Whether the tracker has told of a page, and it was not cleared since. */
  public static boolean isTold(Slot slot, long page) {
    return isIn(slot.fetched().told().word((int) (page >>> 6)), page);
  }

  /** Whether a page is dirty for a client. */
  public static boolean isInView(ClientView client, Slot slot, long page) {
    return isIn(client.of(slot).word((int) (page >>> 6)), page);
  }

  /** How many slots of a log were removed and are not retired. */
  public static int leaving(DirtyLog log) {
    return ApiAccess.get().collector(log).slots().leaving().size();
  }

  private static boolean isIn(long word, long page) {
    return (word >>> page & 1) != 0;
  }
}
