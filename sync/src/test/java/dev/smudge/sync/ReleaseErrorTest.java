package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.testbase.StackSqueeze;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * What is given back once, cut short where it is given back: the RAM of slots that were removed,
 * which costs its owner some stack, and the room for a vCPU's tasks.
 */
@ParameterizedClass
@EnumSource(Mode.class)
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@Tag("long")
class ReleaseErrorTest {
  private static final int PAGE = ErrorWorld.PAGE;

  /** Whoever releases RAM needs stack for that. */
  private static int released(ErrorWorld w, int depth) {
    if (depth > 0) {
      return released(w, depth - 1) + 1;
    }
    w.released++;
    return 0;
  }

  private static void removeSlot(ErrorWorld w) {
    w.removeIfThere(2);
    w.forget(2);
    LogSlot slot = w.log.addSlot(2, ErrorWorld.PAGES[2], PAGE);
    w.released = 0;
    w.change = w.log.change().remove(slot, () -> released(w, 60));
  }

  private static void checkReleased(ErrorWorld w) {
    w.log.sync(); // what is to be a task is one
    w.log.rcu().barrier();
    w.check(w.b); // the close of a batch
    assertEquals(1, w.released);
    w.checkRemoved(2, w.change().removed().get(0));
  }

  enum Operation implements ErrorOperation {
    CLOSE_OF_A_BATCH {
      @Override
      public void before(ErrorWorld w) {
        removeSlot(w);
        w.a.open = w.a.client().take();
        w.change().commit();
        w.read(w.a, false);
      }

      @Override
      public void run(ErrorWorld w) {
        w.open(w.a).close();
      }

      @Override
      public void after(ErrorWorld w) {
        w.closeBatch(w.a);
        checkReleased(w);
      }
    },
    RETIREMENT_BESIDE_A_DEVICE_THAT_LEAVES {
      @Override
      public void before(ErrorWorld w) {
        w.addLeaving();
        removeSlot(w);
        w.registration().close();
      }

      @Override
      public void run(ErrorWorld w) {
        w.change().commit();
      }

      @Override
      public void after(ErrorWorld w) {
        if (w.slot(2) != null) {
          w.change().commit();
        }
        checkReleased(w);
      }
    },
    LEAVE_OF_A_DEVICE {
      @Override
      public void before(ErrorWorld w) {
        w.addLeaving();
        removeSlot(w);
        w.registration().close();
        w.change().commit();
      }

      @Override
      public void run(ErrorWorld w) {
        w.log.rcu().barrier();
      }

      @Override
      public void after(ErrorWorld w) {
        checkReleased(w);
      }
    }
  }

  private final Mode mode;

  ReleaseErrorTest(Mode mode) {
    this.mode = mode;
  }

  @ParameterizedTest
  @EnumSource
  void release_stackEndsAtEveryCall_comesOnce(Operation operation) {
    operation.stackEndsAtEveryCall(mode);
  }

  @ParameterizedTest
  @EnumSource
  void release_errorsInARow_comesOnce(Operation operation) throws Exception {
    operation.errorOfEveryCallOut(mode);
    operation.errorsInARow(mode, 3);
  }

  /** A task that is not there takes no room. */
  @Test
  void runOnVcpu_stackEndsAtEveryCall_thereIsRoomForAllTasks() {
    DirtyLog log = mode.builder().build();
    LogVcpu vcpu = log.addVcpu();
    int[] ran = new int[1];
    CompletableFuture<?>[] last = new CompletableFuture<?>[1];
    int cut =
        StackSqueeze.squeeze(
            () -> {}, () -> last[0] = vcpu.runOnVcpu(() -> ran[0]++), thrown -> {});
    assertTrue(cut > 0, cut + " calls were cut short");
    vcpu.online();
    int known = ran[0];
    vcpu.offline();
    int most = 1 << 16;
    for (int i = 0; i < most; i++) {
      last[0] = vcpu.runOnVcpu(() -> ran[0]++);
    }
    assertFalse(last[0].isDone(), "there is room for less");
    vcpu.online();
    assertEquals(most, ran[0] - known);
    vcpu.close();
    log.close();
  }
}
