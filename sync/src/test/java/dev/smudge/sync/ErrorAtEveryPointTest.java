package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Every operation, cut short by an error at every point: by a {@link StackOverflowError} at each
 * call that it makes, and by an {@link OutOfMemoryError} of the tracker or the device at each call
 * out of the library. Afterwards every client is told of every page that it has not read, and later
 * calls work.
 */
@ParameterizedClass
@EnumSource(Mode.class)
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@Tag("long")
class ErrorAtEveryPointTest {
  private static final int PAGE = ErrorWorld.PAGE;

  enum Operation implements ErrorOperation {
    TAKE {
      @Override
      public void run(ErrorWorld w) {
        w.a.open = w.a.client().take();
      }

      @Override
      public void after(ErrorWorld w) {
        w.read(w.a, false);
      }
    },
    TAKE_SYNCED {
      @Override
      public void before(ErrorWorld w) {
        w.log.sync();
      }

      @Override
      public void run(ErrorWorld w) {
        w.a.open = w.a.client().takeSynced();
      }

      @Override
      public void after(ErrorWorld w) {
        w.read(w.a, false);
      }
    },
    TAKE_AT_MOST {
      @Override
      public void run(ErrorWorld w) {
        w.a.open = w.a.client().takeAtMost(5);
      }

      @Override
      public void after(ErrorWorld w) {
        w.read(w.a, true);
      }
    },
    TAKE_RANGE {
      @Override
      public void run(ErrorWorld w) {
        w.a.open = w.a.client().takeRange(w.log.slot(0), 10, 700);
      }

      @Override
      public void after(ErrorWorld w) {
        w.read(w.a, false);
      }
    },
    SYNC {
      @Override
      public void run(ErrorWorld w) {
        w.log.sync();
      }
    },
    DISCARD {
      @Override
      public void run(ErrorWorld w) {
        w.a.client().discard(w.log.slot(0), 100, 500);
      }

      @Override
      public void after(ErrorWorld w) {
        w.read(w.a, 0, 100, 500); // what they hold does not matter any more
      }
    },
    LOOK {
      @Override
      public void before(ErrorWorld w) {
        w.a.open = w.a.client().take();
        w.read(w.a, true);
        w.write();
      }

      @Override
      public void run(ErrorWorld w) {
        w.a.client().forEachDirtyRun((slot, first, count) -> {});
      }
    },
    FORK {
      @Override
      public void before(ErrorWorld w) {
        LOOK.before(w);
        w.extra.knowsWhat(w.a);
      }

      @Override
      public void run(ErrorWorld w) {
        w.extra.client = w.a.client().fork("fork");
      }

      @Override
      public void after(ErrorWorld w) {
        w.check(w.extra);
        w.write();
        w.check(w.extra);
        w.closeExtra();
      }
    },
    EXPORT_AND_IMPORT {
      @Override
      public void before(ErrorWorld w) {
        w.extra.client = w.log.client("import", InitialView.NONE_DIRTY);
        FORK.before(w);
        w.done = false;
      }

      @Override
      public void run(ErrorWorld w) throws Exception {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        w.a.client().exportDirty(bytes);
        w.extra.client().importDirty(new ByteArrayInputStream(bytes.toByteArray()));
        w.done = true;
      }

      @Override
      public void after(ErrorWorld w) {
        try {
          if (!w.done) {
            run(w);
          }
        } catch (Exception e) {
          throw new AssertionError(e);
        }
        FORK.after(w);
      }
    },
    BATCH_WALK {
      @Override
      public void before(ErrorWorld w) {
        w.a.open = w.a.client().take();
      }

      @Override
      public void run(ErrorWorld w) {
        w.read(w.a, false);
      }
    },
    BATCH_COMMIT {
      @Override
      public void before(ErrorWorld w) {
        w.a.open = w.a.client().take();
        w.open(w.a).forEachRun((slot, first, count) -> w.read(w.a, slot.id(), first, count));
      }

      @Override
      public void run(ErrorWorld w) {
        w.open(w.a).commit();
      }
    },
    BATCH_CLOSE {
      @Override
      public void before(ErrorWorld w) {
        w.a.open = w.a.client().take();
        w.read(w.a, true);
      }

      @Override
      public void run(ErrorWorld w) {
        w.open(w.a).close();
      }
    },
    CLIENT_START_ALL_DIRTY {
      @Override
      public void run(ErrorWorld w) {
        w.extra.client = w.log.client("extra", InitialView.ALL_DIRTY);
      }

      @Override
      public void after(ErrorWorld w) {
        w.check(w.extra);
        w.closeExtra();
      }
    },
    CLIENT_START_NONE_DIRTY {
      @Override
      public void run(ErrorWorld w) {
        w.extra.client = w.log.client("extra", InitialView.NONE_DIRTY);
      }

      @Override
      public void after(ErrorWorld w) {
        w.readAll(w.extra);
        w.write();
        w.check(w.extra);
        w.closeExtra();
      }
    },
    CLIENT_CLOSE {
      @Override
      public void before(ErrorWorld w) {
        w.extra.client = w.log.client("extra", InitialView.NONE_DIRTY);
        w.extra.open = w.extra.client().take();
      }

      @Override
      public void run(ErrorWorld w) {
        w.extra.client().close();
      }

      @Override
      public void after(ErrorWorld w) {
        w.closeExtra();
      }
    },
    FIRST_CLIENT_START(false) {
      @Override
      public void run(ErrorWorld w) {
        w.extra.client = w.log.client("first", InitialView.NONE_DIRTY);
      }

      @Override
      public void after(ErrorWorld w) {
        w.write();
        if (w.extra.client == null) {
          w.extra.client = w.log.client("again", InitialView.NONE_DIRTY);
        }
        w.readAll(w.extra);
        w.write();
        w.check(w.extra);
        w.closeExtra();
      }
    },
    LAST_CLIENT_CLOSE(false) {
      @Override
      public void before(ErrorWorld w) {
        w.extra.client = w.log.client("last", InitialView.ALL_DIRTY);
        w.check(w.extra);
      }

      @Override
      public void run(ErrorWorld w) {
        w.extra.client().close();
      }

      @Override
      public void after(ErrorWorld w) {
        w.closeExtra();
        w.write();
        w.extra.client = w.log.client("next", InitialView.NONE_DIRTY);
        w.readAll(w.extra);
        w.write();
        w.check(w.extra);
        w.closeExtra();
      }
    },
    SLOT_ADD {
      @Override
      public void run(ErrorWorld w) {
        w.log.addSlot(2, ErrorWorld.PAGES[2], PAGE);
      }

      @Override
      public void after(ErrorWorld w) {
        w.forget(2);
        w.check();
        w.removeIfThere(2);
      }
    },
    SLOT_REMOVE {
      @Override
      public void before(ErrorWorld w) {
        w.removeIfThere(2);
        w.forget(2);
        LogSlot slot = w.log.addSlot(2, ErrorWorld.PAGES[2], PAGE);
        w.check();
        w.write();
        w.released = 0;
        w.change = w.log.change().remove(slot, () -> w.released++);
      }

      @Override
      public void run(ErrorWorld w) {
        w.change().commit();
      }

      @Override
      public void after(ErrorWorld w) {
        if (w.slot(2) != null) {
          w.change().commit(); // what is left of the first attempt does not count
        }
        w.log.sync(); // its retirement is a task by now, if it was cut short
        w.log.rcu().barrier();
        w.checkRemoved(2, w.change().removed().get(0));
        assertTrue(w.released == 1, "released " + w.released + " times");
      }
    },
    DEVICE_CLOSE {
      @Override
      public void before(ErrorWorld w) {
        w.addLeaving();
      }

      @Override
      public void run(ErrorWorld w) {
        w.registration().close();
        w.log.rcu().barrier();
      }

      @Override
      public void after(ErrorWorld w) {
        w.registration().close();
        w.log.sync();
        w.log.rcu().barrier();
      }
    },
    SLOT_REPLACE {
      @Override
      public void before(ErrorWorld w) {
        w.change = w.log.change();
        LogSlot slot = w.log.slot(1);
        LogSlot next = w.change().add(1, ErrorWorld.PAGES[1], PAGE);
        w.change().remove(slot).carry(slot, 0, next, 0, ErrorWorld.PAGES[1]);
      }

      @Override
      public void run(ErrorWorld w) {
        w.change().commit();
      }
    },
    SLOT_REPLACE_WHILE_IN_A_BATCH {
      @Override
      public void before(ErrorWorld w) {
        w.a.open = w.a.client().take();
        SLOT_REPLACE.before(w);
        w.read(w.a, true);
      }

      @Override
      public void run(ErrorWorld w) {
        w.change().commit();
      }
    },
    SEAL {
      @Override
      public void run(ErrorWorld w) {
        w.log.seal();
      }

      @Override
      public void after(ErrorWorld w) {
        w.log.unseal();
      }
    },
    MARK {
      @Override
      public void before(ErrorWorld w) {
        w.vcpu.online();
        w.vcpu.safepoint();
        w.done = false;
      }

      @Override
      public void run(ErrorWorld w) {
        w.vcpu.mark(w.log.slot(0), 62 * PAGE, 5 * PAGE);
        w.done = true;
      }

      @Override
      public void after(ErrorWorld w) {
        for (int page = 62; w.done && page < 67; page++) {
          w.store(0, page); // before its next safepoint
        }
        w.vcpu.offline();
      }
    },
    HOST_MARK {
      @Override
      public void before(ErrorWorld w) {
        w.done = false;
        w.store(0, 500);
      }

      @Override
      public void run(ErrorWorld w) {
        w.log.mark(w.log.slot(0), 500 * PAGE, 1);
        w.done = true;
      }

      @Override
      public void after(ErrorWorld w) {
        if (!w.done) {
          w.log.mark(w.log.slot(0), 500 * PAGE, 1);
        }
      }
    },
    MARK_FOR_OTHERS {
      @Override
      public void before(ErrorWorld w) {
        w.done = false;
        w.store(0, 600);
        w.read(w.a, 0, 600, 1); // the writer knows what it has written
      }

      @Override
      public void run(ErrorWorld w) {
        w.a.client().markForOthers(w.log.slot(0), 600 * PAGE, 1);
        w.done = true;
      }

      @Override
      public void after(ErrorWorld w) {
        if (!w.done) {
          w.a.client().markForOthers(w.log.slot(0), 600 * PAGE, 1);
        }
      }
    },
    VCPU_CLOSE {
      @Override
      public void before(ErrorWorld w) {
        w.other = w.log.addVcpu();
        for (int page = 0; page < 1_000; page += 200) {
          w.store(0, page);
          w.other().mark(w.log.slot(0), (long) page * PAGE, 1);
        }
        w.other().offline();
      }

      @Override
      public void run(ErrorWorld w) {
        w.other().close();
      }

      @Override
      public void after(ErrorWorld w) {
        w.other().close();
      }
    },
    REAP {
      @Override
      boolean isIn(Mode mode) {
        return mode.hasRings();
      }

      @Override
      public void before(ErrorWorld w) {
        w.vcpu.online();
        for (int page = 0; page < 160; page++) {
          w.store(0, page);
          w.vcpu.mark(w.log.slot(0), (long) page * PAGE, 1);
        }
        w.vcpu.offline();
      }

      @Override
      public void run(ErrorWorld w) throws Exception {
        w.log.reaper().doWork();
      }
    };

    private final boolean clients;

    Operation() {
      this(true);
    }

    Operation(boolean clients) {
      this.clients = clients;
    }

    @Override
    public boolean hasClients() {
      return clients;
    }

    boolean isIn(Mode mode) {
      return true;
    }
  }

  private final Mode mode;

  ErrorAtEveryPointTest(Mode mode) {
    this.mode = mode;
  }

  @ParameterizedTest
  @EnumSource
  void operation_stackEndsAtEveryCall_losesNothingAndLaterCallsWork(Operation operation) {
    Assumptions.assumeTrue(operation.isIn(mode));
    operation.stackEndsAtEveryCall(mode);
  }

  @ParameterizedTest
  @EnumSource
  void operation_errorOfEveryCallOut_losesNothingAndLaterCallsWork(Operation operation)
      throws Exception {
    Assumptions.assumeTrue(operation.isIn(mode));
    operation.errorOfEveryCallOut(mode);
  }

  @ParameterizedTest
  @EnumSource
  void operation_errorsInARowAndOfTheHandler_loseNothingAndLaterCallsWork(Operation operation) {
    Assumptions.assumeTrue(operation.isIn(mode));
    for (int errors : new int[] {1, 3, 1_000}) {
      operation.errorsInARow(mode, errors);
    }
  }
}
