package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.sync.internal.collect.Peek;
import dev.smudge.sync.internal.vcpu.RingRoom;
import dev.smudge.testbase.Script;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The promise (design 3.1) against a naive oracle: each page has a version, each client remembers
 * the version that it has seen of each page; a page of another version must be dirty for it. Random
 * scripts on one thread, with vCPUs and clients that come and go, a reaper, aborted batches, and a
 * backend that fails at any point of any call.
 */
class LogModelTest {
  private static final int STEPS = 800;

  @ParameterizedTest
  @EnumSource(Mode.class)
  void everyOperation_randomScriptWithFaults_noClientMissesAWrite(Mode mode) {
    for (int pages : new int[] {1, 64, 65, 700, 33_000}) {
      for (int i = 0; i < 12; i++) {
        Script.run(
            "log " + mode + " " + pages + " " + i,
            script -> new Machine(script, mode, pages, false).run());
      }
    }
  }

  @Test
  void everyOperation_stoppedLog_noClientMissesAWrite() {
    for (int i = 0; i < 12; i++) {
      Script.run("stopped log " + i, script -> new Machine(script, Mode.BITMAP, 700, true).run());
    }
  }

  /** A client and what it has seen. */
  private static final class Seen {
    final DirtyClient<LogSlot> client;
    final Map<Integer, long[]> versions = new HashMap<>(); // by slot
    @Nullable DirtyBatch<LogSlot> open;

    Seen(DirtyClient<LogSlot> client) {
      this.client = client;
    }
  }

  private static final class Machine {
    final Script script;
    final TestTracker backend = new TestTracker();
    final Mode mode;
    final DirtyLog log;
    final boolean stopped;
    final List<LogSlot> slots = new ArrayList<>();
    final List<LogVcpu> vcpus = new ArrayList<>(); // the first is the one that may be online
    final List<long[]> ram = new ArrayList<>(); // versions by slot
    final List<Seen> clients = new ArrayList<>();
    long version;

    Machine(Script script, Mode mode, int pages, boolean stopped) {
      this.script = script;
      this.mode = mode;
      this.stopped = stopped;
      this.log = stopped ? DirtyLog.builder().buildStopped() : backend.log(mode);
      addSlot(pages);
      if (!stopped) {
        vcpus.add(log.addVcpu());
      }
    }

    void addSlot(int pages) {
      slots.add(log.addSlot(slots.size(), pages, 16));
      ram.add(new long[pages]);
    }

    void run() {
      for (int i = 0; i < STEPS; i++) {
        step();
        backend.untilFault.set(-1);
        if (i % 16 == 0) {
          check();
        }
      }
      for (Seen seen : clients) {
        closeBatch(seen);
        takeAndRead(seen, seen.client::take, true);
        for (LogSlot slot : slots) {
          long[] versions = versionsOf(seen, slot.id());
          for (int p = 0; p < versions.length; p++) {
            if (versions[p] != ram.get(slot.id())[p]) {
              throw new AssertionError(seen.client + " never got page " + slot.id() + ":" + p);
            }
          }
        }
      }
    }

    long[] versionsOf(Seen seen, int slot) {
      return seen.versions.computeIfAbsent(slot, s -> unseen(ram.get(s).length));
    }

    static long[] unseen(int pages) {
      long[] versions = new long[pages];
      java.util.Arrays.fill(versions, -1);
      return versions;
    }

    /** A page that a client has in another version than RAM is dirty after a sync. */
    void check() {
      log.sync();
      for (Seen seen : clients) {
        for (LogSlot slot : slots) {
          long[] versions = versionsOf(seen, slot.id());
          long[] now = ram.get(slot.id());
          for (int p = 0; p < now.length; p++) {
            if (versions[p] != now[p]
                && !Peek.isInView(seen.client.view(), slot.slot, p)
                && (seen.open == null || !holds(seen.open, slot.id(), p))) {
              throw new AssertionError(seen.client + " would miss page " + slot.id() + ":" + p);
            }
            // The invariant of the cache: what is in it is in every view, or in an open batch.
            if (Peek.isTold(slot.slot, p)
                && !Peek.isInView(seen.client.view(), slot.slot, p)
                && (seen.open == null || !holds(seen.open, slot.id(), p))) {
              throw new AssertionError("cached, and not in the view of " + seen.client);
            }
          }
        }
      }
    }

    static boolean holds(DirtyBatch<LogSlot> batch, int slotId, long page) {
      boolean[] found = {false};
      batch.forEachRun((s, f, c) -> found[0] |= s.id() == slotId && f <= page && page < f + c);
      return found[0];
    }

    void step() {
      LogSlot slot = slots.get(script.random.nextInt(slots.size()));
      long first = script.page(slot.pageCount());
      long count = script.count(slot.pageCount() - first);
      Seen seen = clients.isEmpty() ? null : clients.get(script.random.nextInt(clients.size()));
      if (!stopped && script.random.nextInt(4) == 0) {
        int points = script.random.nextInt(mode.hasRings() ? 30 : 10);
        script.step("fault after " + points + " points");
        backend.untilFault.set(points);
      }
      int op = script.random.nextInt(23);
      try {
        switch (op) {
          case 0, 1, 2, 3, 4 -> write(slot, first, Math.min(count, 200), true);
          case 5 -> write(slot, first, Math.min(count, 200), false);
          case 6 -> {
            script.step("sync");
            log.sync();
          }
          case 7 -> newClient();
          case 8 -> {
            if (slots.size() < 3 && script.random.nextInt(6) == 0) {
              script.step("addSlot");
              addSlot(1 + script.random.nextInt(300));
            }
          }
          case 9 -> vcpu();
          default -> {
            if (seen != null) {
              client(op, seen, slot, first, count);
            }
          }
        }
      } catch (TestTracker.Fault e) {
        script.step("  failed: " + e.getMessage());
      }
    }

    void vcpu() {
      if (stopped) {
        return;
      }
      int op = script.random.nextInt(9);
      script.step("vcpu " + op);
      LogVcpu vcpu = vcpus.get(0);
      switch (op) {
        case 0 -> safepoint(vcpu);
        case 1 -> vcpu.offline();
        case 2 -> vcpu.online();
        case 3, 4 -> {
          vcpu.offline();
          vcpus.add(vcpus.remove(0));
        }
        case 5 -> {
          if (vcpus.size() < 4) {
            vcpus.add(log.addVcpu());
          }
        }
        case 6 -> {
          if (vcpus.size() > 1) {
            vcpu.close(); // with what is in its ring
            vcpus.remove(vcpu);
          }
        }
        case 7 -> {
          if (mode.hasRings()) {
            reap();
          }
        }
        default -> log.barrier();
      }
    }

    void safepoint(LogVcpu vcpu) {
      RingRoom ring = vcpu.marks().ring();
      if (ring != null && ring.isSoftFull()) {
        log.sync(); // it would wait for this thread
      }
      vcpu.safepoint();
    }

    private void reap() {
      try {
        log.reaper().doWork();
      } catch (RuntimeException e) {
        throw e;
      } catch (Exception e) {
        throw new AssertionError(e);
      }
    }

    void write(LogSlot slot, long first, long count, boolean byVcpu) {
      script.step("write " + slot.id() + " (" + first + ", " + count + ") vcpu " + byVcpu);
      version++;
      for (long p = first; p < first + count; p++) {
        ram.get(slot.id())[(int) p] = version;
      }
      if (byVcpu && !stopped) {
        vcpus.get(0).mark(slot, first * 16, count * 16);
      } else {
        log.mark(slot, first * 16, count * 16);
      }
    }

    void newClient() {
      if (clients.size() >= 4) {
        return;
      }
      boolean all = script.random.nextBoolean();
      script.step("new client, all dirty: " + all);
      Seen seen =
          new Seen(log.client("c" + version, all ? InitialView.ALL_DIRTY : InitialView.NONE_DIRTY));
      if (!all) {
        slots.forEach(s -> seen.versions.put(s.id(), ram.get(s.id()).clone()));
      }
      clients.add(seen);
    }

    void client(int op, Seen seen, LogSlot slot, long first, long count) {
      boolean keepOpen = script.random.nextInt(4) == 0;
      long limit = 1 + script.count(slot.pageCount());
      switch (op) {
        case 10 -> {
          closeBatch(seen);
          if (script.random.nextInt(4) == 0) {
            script.step("close " + seen.client);
            clients.remove(seen);
            seen.client.close();
          }
        }
        case 11 -> {
          script.step("discard " + slot.id() + " (" + first + ", " + count + ")");
          seen.client.discard(slot, first, count);
          long[] versions = versionsOf(seen, slot.id());
          System.arraycopy(ram.get(slot.id()), (int) first, versions, (int) first, (int) count);
        }
        case 12, 13 -> {
          closeBatch(seen);
          script.step("takeAtMost " + limit + " by " + seen.client);
          takeAndRead(seen, () -> seen.client.takeAtMost(limit), keepOpen);
        }
        case 14, 15 -> {
          closeBatch(seen);
          script.step("takeRange " + slot.id() + " (" + first + ", " + count + ")");
          takeAndRead(seen, () -> seen.client.takeRange(slot, first, count), keepOpen);
        }
        case 16 -> {
          closeBatch(seen);
          script.step("takeSynced by " + seen.client);
          takeAndRead(seen, seen.client::takeSynced, keepOpen);
        }
        case 17 -> {
          script.step("look by " + seen.client);
          look(seen);
        }
        case 18, 19 -> copyOf(seen, op == 18);
        default -> {
          closeBatch(seen);
          script.step("take by " + seen.client);
          takeAndRead(seen, seen.client::take, keepOpen);
        }
      }
    }

    /** What a look finds is what is in the view or, not acknowledged, in the open batch. */
    void look(Seen seen) {
      Map<Integer, BitSet> found = new HashMap<>();
      seen.client.forEachDirtyRun((slot, first, count) ->
          found
              .computeIfAbsent(slot.id(), id -> new BitSet())
              .set((int) first, (int) (first + count)));
      for (LogSlot slot : slots) {
        BitSet held = new BitSet();
        if (seen.open != null) {
          seen.open.forEachRun((s, f, c) -> {
            if (s.id() == slot.id()) {
              held.set((int) f, (int) (f + c));
            }
          });
        }
        for (int p = 0; p < slot.pageCount(); p++) {
          boolean dirty = held.get(p) || Peek.isInView(seen.client.view(), slot.slot, p);
          assertEquals(
              dirty,
              found.getOrDefault(slot.id(), new BitSet()).get(p),
              "page " + p + " of " + slot);
        }
      }
    }

    /** A client that has seen what another has, and nothing more. */
    void copyOf(Seen seen, boolean fork) {
      if (clients.size() >= 4) {
        return;
      }
      script.step((fork ? "fork of " : "import from ") + seen.client);
      Seen copy;
      if (fork) {
        copy = new Seen(seen.client.fork("f" + version));
      } else {
        copy = new Seen(log.client("i" + version, InitialView.NONE_DIRTY));
        boolean done = false;
        try {
          ByteArrayOutputStream bytes = new ByteArrayOutputStream();
          seen.client.exportDirty(bytes);
          copy.client.importDirty(new ByteArrayInputStream(bytes.toByteArray()));
          done = true;
        } catch (IOException e) {
          throw new AssertionError(e);
        } finally {
          if (!done) {
            copy.client.close();
          }
        }
      }
      slots.forEach(slot -> copy.versions.put(slot.id(), versionsOf(seen, slot.id()).clone()));
      clients.add(copy);
    }

    /** Reads, acknowledges all, a part or nothing, and closes it now or later. */
    void takeAndRead(Seen seen, Supplier<DirtyBatch<LogSlot>> take, boolean keepOpen) {
      DirtyBatch<LogSlot> batch = take.get();
      assertTrue(batch.barrierNanos() >= 0);
      seen.open = batch;
      long before = batch.pageCount();
      long[] walked = {0};
      int kind = keepOpen ? 0 : script.random.nextInt(3);
      batch.forEachRun((slot, first, count) -> {
        walked[0] += count;
        if (kind == 2) {
          return; // abort
        }
        long acknowledged = kind == 0 ? count : script.random.nextLong(count + 1);
        System.arraycopy(
            ram.get(slot.id()),
            (int) first,
            versionsOf(seen, slot.id()),
            (int) first,
            (int) acknowledged);
        batch.acknowledge(slot, first, acknowledged);
      });
      assertEquals(before, walked[0]);
      if (!keepOpen) {
        closeBatch(seen);
      }
    }

    void closeBatch(Seen seen) {
      if (seen.open != null) {
        seen.open.close();
        seen.open = null;
      }
    }
  }
}
