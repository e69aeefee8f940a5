package dev.smudge.kvm;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.GuestSlot;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.testbase.StackSqueeze;
import dev.smudge.testkit.GuestMachine;
import java.util.Objects;
import java.util.Set;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The close of a vCPU, or of its VM, is cut short: the next close finds what is in the ring. */
@RequiresKvm
@Tag("once")
@Timeout(value = 150, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class CloseErrorTest {
  private static final long BASE = GuestMachine.BASE;
  private static final Set<String> WRITTEN = GuestMachine.pages(1, 3, 9, 40);

  private @Nullable KvmMachine machine;
  private @Nullable DirtyClient<GuestSlot> client;

  private KvmMachine machine() {
    return Objects.requireNonNull(machine);
  }

  private void write() {
    if (machine != null) {
      machine.close();
    }
    machine = KvmMachine.withRing(UnaryOperator.identity());
    machine().memory().addSlot(1, BASE, machine().ram(64), GuestMachine.PAGE);
    client = machine().memory().client("c", InitialView.NONE_DIRTY);
    machine().write(7, BASE + 3 * 4096, BASE + 9 * 4096, BASE + 40 * 4096);
  }

  private void close(boolean vcpu) {
    if (vcpu) {
      machine().vcpu.close();
    } else {
      machine().vm.close();
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void close_stackEnds_nextTakeHasThePagesOfTheRing(boolean vcpu) {
    int errors =
        StackSqueeze.squeeze(
            this::write,
            () -> close(vcpu),
            thrown -> {
              close(vcpu);
              Set<String> taken = GuestMachine.take(Objects.requireNonNull(client));
              assertTrue(taken.containsAll(WRITTEN), "taken: " + taken);
            });
    machine().close();
    assertTrue(errors > 20, errors + " errors");
  }
}
