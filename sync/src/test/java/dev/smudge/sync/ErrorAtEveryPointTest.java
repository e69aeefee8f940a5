package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.jspecify.annotations.Nullable;
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

  /** Per frame of the stack. */
  private static final int STEPS = Boolean.getBoolean("smudge.all") ? 2 : 1;

  /** An operation, with what comes before and after it. */
  enum Operation {
    TAKE {
      @Override
      void run(ErrorWorld w) {
        w.a.open = w.a.client().take();
      }

      @Override
      void after(ErrorWorld w) {
        w.read(w.a, false);
      }
    },
    TAKE_SYNCED {
      @Override
      void before(ErrorWorld w) {
        w.log.sync();
      }

      @Override
      void run(ErrorWorld w) {
        w.a.open = w.a.client().takeSynced();
      }

      @Override
      void after(ErrorWorld w) {
        w.read(w.a, false);
      }
    },
    TAKE_AT_MOST {
      @Override
      void run(ErrorWorld w) {
        w.a.open = w.a.client().takeAtMost(5);
      }

      @Override
      void after(ErrorWorld w) {
        w.read(w.a, true);
      }
    },
    TAKE_RANGE {
      @Override
      void run(ErrorWorld w) {
        w.a.open = w.a.client().takeRange(w.log.slot(0), 10, 700);
      }

      @Override
      void after(ErrorWorld w) {
        w.read(w.a, false);
      }
    },
    SYNC {
      @Override
      void run(ErrorWorld w) {
        w.log.sync();
      }
    },
    DISCARD {
      @Override
      void run(ErrorWorld w) {
        w.a.client().discard(w.log.slot(0), 100, 500);
      }

      @Override
      void after(ErrorWorld w) {
        w.read(w.a, 0, 100, 500); // what they hold does not matter any more
      }
    },
    BATCH_WALK {
      @Override
      void before(ErrorWorld w) {
        w.a.open = w.a.client().take();
      }

      @Override
      void run(ErrorWorld w) {
        w.read(w.a, false);
      }
    },
    BATCH_COMMIT {
      @Override
      void before(ErrorWorld w) {
        w.a.open = w.a.client().take();
        w.open(w.a).forEachRun((slot, first, count) -> w.read(w.a, slot.id(), first, count));
      }

      @Override
      void run(ErrorWorld w) {
        w.open(w.a).commit();
      }
    },
    BATCH_CLOSE {
      @Override
      void before(ErrorWorld w) {
        w.a.open = w.a.client().take();
        w.read(w.a, true);
      }

      @Override
      void run(ErrorWorld w) {
        w.open(w.a).close();
      }
    },
    CLIENT_START_ALL_DIRTY {
      @Override
      void run(ErrorWorld w) {
        w.extra.client = w.log.client("extra", InitialView.ALL_DIRTY);
      }

      @Override
      void after(ErrorWorld w) {
        w.check(w.extra);
        w.closeExtra();
      }
    },
    CLIENT_START_NONE_DIRTY {
      @Override
      void run(ErrorWorld w) {
        w.extra.client = w.log.client("extra", InitialView.NONE_DIRTY);
      }

      @Override
      void after(ErrorWorld w) {
        w.readAll(w.extra);
        w.write();
        w.check(w.extra);
        w.closeExtra();
      }
    },
    CLIENT_CLOSE {
      @Override
      void before(ErrorWorld w) {
        w.extra.client = w.log.client("extra", InitialView.NONE_DIRTY);
        w.extra.open = w.extra.client().take();
      }

      @Override
      void run(ErrorWorld w) {
        w.extra.client().close();
      }

      @Override
      void after(ErrorWorld w) {
        w.closeExtra();
      }
    },
    FIRST_CLIENT_START(false) {
      @Override
      void run(ErrorWorld w) {
        w.extra.client = w.log.client("first", InitialView.NONE_DIRTY);
      }

      @Override
      void after(ErrorWorld w) {
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
      void before(ErrorWorld w) {
        w.extra.client = w.log.client("last", InitialView.ALL_DIRTY);
        w.check(w.extra);
      }

      @Override
      void run(ErrorWorld w) {
        w.extra.client().close();
      }

      @Override
      void after(ErrorWorld w) {
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
      void run(ErrorWorld w) {
        w.log.addSlot(2, ErrorWorld.PAGES[2], PAGE);
      }

      @Override
      void after(ErrorWorld w) {
        w.forget(2);
        w.check();
        w.removeIfThere(2);
      }
    },
    SLOT_REMOVE {
      @Override
      void before(ErrorWorld w) {
        w.removeIfThere(2);
        w.forget(2);
        LogSlot slot = w.log.addSlot(2, ErrorWorld.PAGES[2], PAGE);
        w.check();
        w.write();
        w.change = w.log.change().remove(slot);
      }

      @Override
      void run(ErrorWorld w) {
        w.change().commit();
      }

      @Override
      void after(ErrorWorld w) {
        if (w.slot(2) == null) {
          w.checkRemoved(2, w.change().removed().get(0));
        }
      }
    },
    SLOT_REPLACE {
      @Override
      void before(ErrorWorld w) {
        w.change = w.log.change();
        LogSlot slot = w.log.slot(1);
        LogSlot next = w.change().add(1, ErrorWorld.PAGES[1], PAGE);
        w.change().remove(slot).carry(slot, 0, next, 0, ErrorWorld.PAGES[1]);
      }

      @Override
      void run(ErrorWorld w) {
        w.change().commit();
      }
    },
    SLOT_REPLACE_WHILE_IN_A_BATCH {
      @Override
      void before(ErrorWorld w) {
        w.a.open = w.a.client().take();
        SLOT_REPLACE.before(w);
        w.read(w.a, true);
      }

      @Override
      void run(ErrorWorld w) {
        w.change().commit();
      }
    },
    SEAL {
      @Override
      void run(ErrorWorld w) {
        w.log.seal();
      }

      @Override
      void after(ErrorWorld w) {
        w.log.unseal();
      }
    },
    MARK {
      @Override
      void before(ErrorWorld w) {
        w.vcpu.online();
        w.vcpu.safepoint();
        w.done = false;
      }

      @Override
      void run(ErrorWorld w) {
        w.vcpu.mark(w.log.slot(0), 62 * PAGE, 5 * PAGE);
        w.done = true;
      }

      @Override
      void after(ErrorWorld w) {
        for (int page = 62; w.done && page < 67; page++) {
          w.store(0, page); // before its next safepoint
        }
        w.vcpu.offline();
      }
    },
    HOST_MARK {
      @Override
      void before(ErrorWorld w) {
        w.done = false;
        w.store(0, 500);
      }

      @Override
      void run(ErrorWorld w) {
        w.log.mark(w.log.slot(0), 500 * PAGE, 1);
        w.done = true;
      }

      @Override
      void after(ErrorWorld w) {
        if (!w.done) {
          w.log.mark(w.log.slot(0), 500 * PAGE, 1);
        }
      }
    },
    MARK_FOR_OTHERS {
      @Override
      void before(ErrorWorld w) {
        w.done = false;
        w.store(0, 600);
        w.read(w.a, 0, 600, 1); // the writer knows what it has written
      }

      @Override
      void run(ErrorWorld w) {
        w.a.client().markForOthers(w.log.slot(0), 600 * PAGE, 1);
        w.done = true;
      }

      @Override
      void after(ErrorWorld w) {
        if (!w.done) {
          w.a.client().markForOthers(w.log.slot(0), 600 * PAGE, 1);
        }
      }
    },
    VCPU_CLOSE {
      @Override
      void before(ErrorWorld w) {
        w.other = w.log.addVcpu();
        for (int page = 0; page < 1_000; page += 200) {
          w.store(0, page);
          w.other().mark(w.log.slot(0), (long) page * PAGE, 1);
        }
        w.other().offline();
      }

      @Override
      void run(ErrorWorld w) {
        w.other().close();
      }

      @Override
      void after(ErrorWorld w) {
        w.other().close();
      }
    },
    REAP {
      @Override
      boolean isIn(Mode mode) {
        return mode.hasRings();
      }

      @Override
      void before(ErrorWorld w) {
        w.vcpu.online();
        for (int page = 0; page < 160; page++) {
          w.store(0, page);
          w.vcpu.mark(w.log.slot(0), (long) page * PAGE, 1);
        }
        w.vcpu.offline();
      }

      @Override
      void run(ErrorWorld w) throws Exception {
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

    boolean isIn(Mode mode) {
      return true;
    }

    void before(ErrorWorld w) {}

    abstract void run(ErrorWorld w) throws Exception;

    void after(ErrorWorld w) {}
  }

  private final Mode mode;

  ErrorAtEveryPointTest(Mode mode) {
    this.mode = mode;
  }

  private static void before(Operation operation, ErrorWorld w) {
    w.write();
    operation.before(w);
  }

  private static void after(Operation operation, ErrorWorld w) {
    operation.after(w);
    if (operation.clients) {
      w.check();
    }
  }

  @ParameterizedTest
  @EnumSource
  void operation_stackEndsAtEveryCall_losesNothingAndLaterCallsWork(Operation operation) {
    Assumptions.assumeTrue(operation.isIn(mode));
    ErrorWorld w = new ErrorWorld(mode, operation.clients);
    int points =
        StackSqueeze.squeeze(
            STEPS,
            frames -> before(operation, w),
            () -> operation.run(w),
            frames -> after(operation, w));
    assertTrue(points >= 2 * STEPS, points + " points");
  }

  @ParameterizedTest
  @EnumSource
  void operation_errorOfEveryCallOut_losesNothingAndLaterCallsWork(Operation operation)
      throws Exception {
    Assumptions.assumeTrue(operation.isIn(mode));
    ErrorWorld w = new ErrorWorld(mode, operation.clients);
    w.tracker.throwsErrors = true;
    int points = 0;
    for (int through = 0; through < 2; points++) { // a device's error is reported, and not thrown
      before(operation, w);
      w.reported.clear();
      w.tracker.untilFault.set(points);
      @Nullable Throwable thrown = null;
      try {
        operation.run(w);
      } catch (OutOfMemoryError e) {
        thrown = e;
      }
      boolean passed = w.tracker.untilFault.getAndSet(-1) >= 0;
      try {
        after(operation, w);
      } catch (Throwable e) {
        throw new AssertionError("after an error at point " + points + ": " + thrown, e);
      }
      through = passed ? through + 1 : 0;
    }
  }
}
