package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageWordConsumer;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CopyOnWriteArrayList;
import org.jspecify.annotations.Nullable;

/** A log with one slot, and devices beside its vCPUs that keep logs of their own. */
abstract class DeviceTrackerCase {
  static final int PAGE = 4096;
  final List<Throwable> errors = new CopyOnWriteArrayList<>();
  final List<String> calls = new CopyOnWriteArrayList<>();
  final DirtyLog log = DirtyLog.builder().errorHandler(errors::add).build();
  final LogSlot slot = log.addSlot(0, 200, PAGE);

  /**
   * A device with a log of its own, as KVM's: a bit stays set, and is told, until it is cleared.
   */
  final class Device implements Tracker {
    final String name;
    final Map<Integer, BitSet> bits = new HashMap<>(); // by entry id
    final List<Integer> gone = new ArrayList<>(); // likewise
    @Nullable StackOverflowError stackEnds; // thrown where it fails, in place of a fault
    String failsAt = "";
    Runnable onSync = () -> {};

    Device(String name) {
      this.name = name;
    }

    void write(LogSlot to, int page) {
      BitSet set = bits.get(to.slot.entryId());
      if (set != null) {
        set.set(page);
      }
    }

    BitSet bits(LogSlot of) {
      return Objects.requireNonNull(bits.get(of.slot.entryId()));
    }

    private void call(String what) {
      calls.add(name + " " + what);
      mayFail(what);
    }

    private void mayFail(String what) {
      if (what.equals(failsAt)) {
        if (stackEnds != null) {
          throw stackEnds;
        }
        throw new TestTracker.Fault(name + " " + what);
      }
    }

    @Override
    public void startLog() {
      call("startLog");
    }

    @Override
    public void stopLog() {
      call("stopLog");
    }

    @Override
    public SlotTracker newSlot(TrackedSlot of) {
      BitSet set = new BitSet();
      return new SlotTracker() {
        @Override
        public void start() {
          bits.put(of.entryId(), set);
          call("start " + of.id());
        }

        @Override
        public void stop() {
          call("stop " + of.id());
          bits.remove(of.entryId());
          gone.add(of.entryId());
        }

        @Override
        public void collect(PageWordConsumer sink) {
          onSync.run();
          mayFail("before collect");
          long[] words = set.toLongArray();
          for (int w = 0; w < words.length; w++) {
            if (words[w] != 0) {
              sink.accept(w, words[w]);
            }
          }
          mayFail("collect");
        }

        @Override
        public void clear(long firstPage, long pageCount, long[] bitmap) {
          mayFail("clear");
          BitSet clear = BitSet.valueOf(bitmap);
          clear.stream()
              .forEach(page -> {
                assertTrue(page < pageCount);
                set.clear((int) firstPage + page);
                calls.add(name + " clear " + (firstPage + page));
              });
        }
      };
    }

    @Override
    public void afterSync() {
      mayFail("afterSync");
    }

    @Override
    public void detach() {
      call("detach");
    }

    @Override
    public void close() {
      call("close");
    }
  }

  List<String> calls() {
    List<String> copy = new ArrayList<>(calls);
    calls.clear();
    return copy;
  }
}
