package dev.smudge.mmu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.testbase.OtherJvm;
import dev.smudge.testkit.GuestMachine;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/**
 * A JVM that denies native access: the tracker says which flag it needs, or marks take its place.
 */
@EnabledOnOs(OS.LINUX)
@Timeout(60)
class NativeAccessTest {
  /** Calls everything that can be called without a log, twice. */
  static final class Calls {
    private Calls() {}

    public static void main(String[] args) {
      for (int i = 0; i < 2; i++) {
        System.out.println(MmuTracker.whyNot().orElse("it can"));
        refused(MmuTracker::log);
        refused(() -> MmuTracker.memoryAt(4096, 4096));
        try (GuestMemory memory = GuestMemory.over(MmuTracker.logOrMarks(DirtyLog.builder()))) {
          memory.addSlot(0, 0, 16 * 4096, 4096);
          DirtyClient<GuestSlot> client = memory.client("test", InitialView.NONE_DIRTY);
          memory.device().putByte(3 * 4096, (byte) 1);
          System.out.println(GuestMachine.take(client));
        }
      }
    }

    private static void refused(Runnable call) {
      try {
        call.run();
        throw new AssertionError("not refused");
      } catch (UnsupportedOperationException e) {
        System.out.println(e.getMessage());
      }
    }
  }

  @Test
  void calls_nativeAccessIsDenied_nameTheFlagOrUseMarksEachTime() throws Exception {
    String reason =
        "the MMU tracker needs Linux, and native access: start the JVM with"
            + " --enable-native-access=dev.smudge.linux, on the class path with ALL-UNNAMED\n";
    assertEquals(
        (reason.repeat(3) + "[0:3]\n").repeat(2),
        OtherJvm.run(Calls.class, List.of("--illegal-native-access=deny")));
  }
}
