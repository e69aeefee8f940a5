package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * As {@link ErrorAtEveryPointTest}, for write watches and for what is done beside them. Afterwards
 * no write is lost to a client; a page that was armed is armed still, or was told, and later calls
 * work; and where every watch is closed, nothing is left of them.
 */
@ParameterizedClass
@EnumSource(Mode.class)
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@Tag("long")
class WatchErrorAtEveryPointTest {
  private static final int PAGE = ErrorWorld.PAGE;

  enum WatchOperation implements ErrorOperation {
    WATCH_FIRST(false) {
      @Override
      public void run(ErrorWorld w) {
        w.watch = w.log.watchPages(w.log.slot(0), (at, length) -> {});
      }

      @Override
      public void after(ErrorWorld w) {
        w.closeWatch();
        w.checkNothingIsTracked();
      }
    },
    WATCH_BYTES_FIRST(false) {
      @Override
      public void run(ErrorWorld w) {
        w.watch = w.log.watchBytes(w.log.slot(0), 70 * PAGE, 9, (at, length) -> {});
      }

      @Override
      public void after(ErrorWorld w) {
        w.closeWatch();
        w.checkNothingIsTracked();
      }
    },
    WATCH_CLOSE_LAST(false) {
      @Override
      public void before(ErrorWorld w) {
        w.pages().arm(0, 500 * PAGE);
      }

      @Override
      public void run(ErrorWorld w) {
        w.pages().close();
      }

      @Override
      public void after(ErrorWorld w) {
        w.closePages();
        w.checkNothingIsTracked();
      }
    },
    WATCH_BYTES {
      @Override
      public void before(ErrorWorld w) {
        w.pages();
      }

      @Override
      public void run(ErrorWorld w) {
        w.watch = w.log.watchBytes(w.log.slot(0), 70 * PAGE, 9, (at, length) -> w.told++);
        w.done = true;
      }

      @Override
      public void after(ErrorWorld w) {
        int before = w.told;
        w.store(0, 70);
        w.vcpu.mark(w.log.slot(0), 70 * PAGE + 8, 1);
        w.vcpu.offline();
        assertTrue(w.watch == null || w.told > before);
        w.closeWatch();
        w.checkPages();
      }
    },
    WATCH_ARM {
      @Override
      public void before(ErrorWorld w) {
        w.done = false;
        w.pages();
      }

      @Override
      public void run(ErrorWorld w) {
        w.pages().arm(60 * PAGE, 300 * PAGE);
        w.done = true;
      }

      @Override
      public void after(ErrorWorld w) {
        int before = w.told;
        w.store(0, 100);
        w.vcpu.mark(w.log.slot(0), 100 * PAGE, 1);
        w.vcpu.offline();
        assertTrue(!w.done || w.told == before + 1, "armed, written and not told");
        w.checkPages();
      }
    },
    MARK_WATCHED {
      @Override
      public void before(ErrorWorld w) {
        w.pages().arm(62 * PAGE, 5 * PAGE);
        w.told = 0;
        LogOperation.MARK.before(w);
      }

      @Override
      public void run(ErrorWorld w) throws Exception {
        LogOperation.MARK.run(w);
      }

      @Override
      public void after(ErrorWorld w) {
        if (w.told == 0) {
          assertTrue(!w.done, "marked and not told");
          w.vcpu.mark(w.log.slot(0), 66 * PAGE, 1);
          assertTrue(w.told == 1, "neither told nor armed");
        }
        LogOperation.MARK.after(w);
        w.checkPages();
      }
    },
    HOST_MARK_WATCHED {
      @Override
      public void before(ErrorWorld w) {
        w.pages().arm(500 * PAGE, 1);
        w.told = 0;
        LogOperation.HOST_MARK.before(w);
      }

      @Override
      public void run(ErrorWorld w) throws Exception {
        LogOperation.HOST_MARK.run(w);
      }

      @Override
      public void after(ErrorWorld w) {
        assertTrue(!w.done || w.told == 1, "marked and not told");
        LogOperation.HOST_MARK.after(w);
        assertTrue(w.told >= 1, "neither told nor armed");
        w.checkPages();
      }
    },
    SLOT_CHANGE_WATCHED {
      @Override
      public void before(ErrorWorld w) {
        w.pages().arm(70 * PAGE, 1);
        w.told = 0;
        w.change = w.log.change();
        LogSlot next = w.change().add(0, ErrorWorld.PAGES[0], PAGE);
        w.change().remove(w.log.slot(0)).carry(w.log.slot(0), 0, next, 0, ErrorWorld.PAGES[0]);
      }

      @Override
      public void run(ErrorWorld w) {
        w.change().commit();
      }

      @Override
      public void after(ErrorWorld w) {
        boolean ended = w.pages == null || w.pages.isEnded();
        w.store(0, 70);
        w.vcpu.mark(w.log.slot(0), 70 * PAGE, 1);
        w.vcpu.offline();
        assertTrue(ended || w.told == 1, "the change was not made, and the page is not armed");
        w.checkPages();
      }
    };

    private final boolean clients;

    WatchOperation() {
      this(true);
    }

    WatchOperation(boolean clients) {
      this.clients = clients;
    }

    @Override
    public boolean hasClients() {
      return clients;
    }
  }

  private final Mode mode;

  WatchErrorAtEveryPointTest(Mode mode) {
    this.mode = mode;
  }

  @ParameterizedTest
  @EnumSource
  void operation_stackEndsAtEveryCall_losesNothingAndLaterCallsWork(WatchOperation operation) {
    operation.stackEndsAtEveryCall(mode);
  }

  @ParameterizedTest
  @EnumSource
  void operation_errorOfEveryCallOut_losesNothingAndLaterCallsWork(WatchOperation operation)
      throws Exception {
    operation.errorOfEveryCallOut(mode);
  }
}
