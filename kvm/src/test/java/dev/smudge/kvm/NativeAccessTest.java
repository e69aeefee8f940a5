package dev.smudge.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.smudge.testbase.OtherJvm;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** A JVM that denies native access: what opens KVM says so, and the second time too. */
@EnabledOnOs(OS.LINUX)
@Timeout(60)
class NativeAccessTest {
  /** Opens KVM twice. */
  static final class Opens {
    private Opens() {}

    public static void main(String[] args) {
      for (int i = 0; i < 2; i++) {
        try {
          Kvm.open().close();
          throw new AssertionError("KVM was opened");
        } catch (UnsupportedOperationException e) {
          System.out.println(e.getMessage());
        }
      }
    }
  }

  @Test
  void open_nativeAccessIsDenied_namesTheFlagEachTime() throws Exception {
    String expected =
        "Smudge may not call Linux: start the JVM with --enable-native-access=ALL-UNNAMED\n";
    List<String> flags = List.of("--illegal-native-access=deny");
    assertEquals(expected.repeat(2), OtherJvm.run(Opens.class, flags));
  }
}
