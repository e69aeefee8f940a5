package dev.smudge.sync.internal.collect;

import dev.smudge.sync.tracker.Tracker;
import java.lang.ref.Reference;
import java.lang.ref.ReferenceQueue;
import java.lang.ref.WeakReference;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * The trackers that a log of this process has or had, as the tracker of its guest's writes or as
 * its oracle. Each is of one log alone: a second log would take what the first has to find, and the
 * close of one would end the tracking of the other. Keeps no tracker from being collected.
 *
 * <p>A lambda that captures nothing is one object for all that evaluate it, and has no state that
 * two logs could share. So it may be the tracker of several.
 */
public final class UsedTrackers {
  private static final Set<Use> USES = ConcurrentHashMap.newKeySet();
  private static final ReferenceQueue<Tracker> GONE = new ReferenceQueue<>();

  private UsedTrackers() {}

  /** Refuses a tracker that a log has or had; a log has it from here on. */
  public static void use(@Nullable Tracker tracker) {
    for (Reference<?> gone = GONE.poll(); gone != null; gone = GONE.poll()) {
      USES.remove(gone);
    }
    if (tracker != null && !isWithoutState(tracker) && !USES.add(new Use(tracker))) {
      throw new IllegalStateException(
          tracker
              + " is the tracker of a log already, or was that of one which is closed, and finds the"
              + " writes of one log: make another tracker for this log");
    }
  }

  /** The log that was to have it was not made. */
  public static void free(@Nullable Tracker tracker) {
    if (tracker != null) {
      USES.remove(new Use(tracker));
    }
  }

  static boolean isWithoutState(Tracker tracker) {
    Class<?> type = tracker.getClass();
    return type.isHidden() && type.getDeclaredFields().length == 0;
  }

  /** Trackers are compared by identity. */
  private static final class Use extends WeakReference<Tracker> {
    private final int hash;

    Use(Tracker tracker) {
      super(tracker, GONE);
      this.hash = System.identityHashCode(tracker);
    }

    @Override
    public boolean equals(@Nullable Object other) {
      return this == other || (other instanceof Use use && get() != null && use.refersTo(get()));
    }

    @Override
    public int hashCode() {
      return hash;
    }
  }
}
