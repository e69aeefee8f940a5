package dev.smudge.core;

import dev.smudge.core.internal.map.AddressSpace;
import dev.smudge.core.internal.map.MappedSlot;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.tracker.Registration;
import dev.smudge.sync.tracker.SlotTracker;
import dev.smudge.sync.tracker.TrackedSlot;
import dev.smudge.sync.tracker.Tracker;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicReference;

/** A memory, and listeners that record what they are told. */
abstract class MemoryListenerCase {
  static final int PAGE = 4096;
  final List<Throwable> errors = new CopyOnWriteArrayList<>();
  final List<String> calls = new CopyOnWriteArrayList<>();
  final DirtyLog log = DirtyLog.builder().errorHandler(errors::add).build();
  final GuestMemory memory = GuestMemory.over(log);

  class Recorder implements MemoryListener {
    final String name;
    final AtomicReference<Runnable> onRegionAdd = new AtomicReference<>(() -> {});
    String failsAt = "";

    Recorder(String name) {
      this.name = name;
    }

    private void call(String what) {
      calls.add(name + " " + what);
      if (!failsAt.isEmpty() && what.startsWith(failsAt)) {
        throw new IllegalArgumentException(name + " " + what);
      }
    }

    @Override
    public void begin() {
      call("begin");
    }

    @Override
    public void regionAdd(GuestSlot slot) {
      call("add " + slot.id());
      Runnable action = onRegionAdd.get();
      if (action != null) {
        action.run();
      }
    }

    @Override
    public void regionDel(GuestSlot slot) {
      call("del " + slot.id());
    }

    @Override
    public void regionUnchanged(GuestSlot slot) {
      call("same " + slot.id());
    }

    @Override
    public void commit() {
      call("commit");
    }

    @Override
    public Tracker tracker() {
      return new Tracker() {
        @Override
        public void startLog() {
          call("start");
        }

        @Override
        public void stopLog() {
          call("stop");
        }

        @Override
        public SlotTracker newSlot(TrackedSlot slot) {
          return new SlotTracker() {
            @Override
            public void start() {
              call("logStart " + slot.id());
            }

            @Override
            public void stop() {
              call("logStop " + slot.id());
            }
          };
        }
      };
    }

    @Override
    public void close() {
      call("close");
    }
  }

  /** Walks through listeners without a change of the map. */
  final class Listeners {
    private final AddressSpace space = new AddressSpace(log);

    Registration add(int priority, MemoryListener listener, List<GuestSlot> slots) {
      ListenerLink link = new ListenerLink(space, priority, listener);
      space.listeners().add(link, mapped(slots));
      return link;
    }

    void changed(GuestSlot[] before, GuestSlot[] after) {
      space.listeners().changed(mapped(Arrays.asList(before)), mapped(Arrays.asList(after)));
    }

    private MappedSlot[] mapped(List<GuestSlot> slots) {
      return slots.stream().map(slot -> slot.mapped).toArray(MappedSlot[]::new);
    }
  }

  List<String> calls() {
    List<String> copy = new ArrayList<>(calls);
    calls.clear();
    return copy;
  }

  void reclaim() {
    log.rcu().reclaim();
  }

  GuestSlot add(int id) {
    return memory.addSlot(id, id * 0x1_0000L, 4 * PAGE);
  }
}
