package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.bitmap.PageSet;
import dev.smudge.ring.DirtyRing;
import dev.smudge.testbase.StackSqueeze;
import java.io.File;
import java.net.URI;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.jctools.queues.MessagePassingQueue;
import org.jctools.queues.varhandle.MpscLinkedVarHandleQueue;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.junit.platform.commons.PreconditionViolationException;
import org.opentest4j.AssertionFailedError;

/** Memory runs out in earnest, or the stack where a class is used first, in a JVM of its own. */
@Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@Tag("long")
class SmallHeapTest {
  private static String classPath() throws Exception {
    Set<String> places = new LinkedHashSet<>();
    for (Class<?> type :
        List.of(
            SmallHeapProgram.class,
            DirtyLog.class,
            PageSet.class,
            DirtyRing.class,
            StackSqueeze.class,
            MessagePassingQueue.class,
            MpscLinkedVarHandleQueue.class,
            Assertions.class,
            AssertionFailedError.class,
            PreconditionViolationException.class)) {
      String name = type.getName().replace('.', '/') + ".class";
      URL url = Objects.requireNonNull(type.getResource("/" + name), name);
      String place = url.toString();
      place = place.substring(0, place.length() - name.length());
      place = place.startsWith("jar:") ? place.substring(4, place.length() - 2) : place;
      places.add(Path.of(new URI(place)).toString());
    }
    return String.join(File.pathSeparator, places);
  }

  @Test
  void everyCall_runsOutOfMemoryAtEveryPoint_losesNothing() throws Exception {
    run("-Xmx24m", SmallHeapProgram.class, Boolean.getBoolean("smudge.all") ? "2" : "5");
  }

  /**
   * What an error in a class's initializer leaves is not to be used again: not of the first call.
   */
  @ParameterizedTest
  @ValueSource(strings = {"mark", "pause"})
  void firstCall_withoutStack_laterCallsWork(String call) throws Exception {
    run("-Xint", FirstCallProgram.class, call);
  }

  /** Where a device's write was lost: in a fifth of the JVMs, and in none that ran for a while. */
  @ParameterizedTest
  @ValueSource(strings = {"SLOT_REPLACE", "LAST_CLIENT_CLOSE", "DEVICE_CLOSE", "SLOT_REMOVE"})
  void stackEndsAtEveryCall_inAJvmThatHasJustStarted_losesNothing(String operation)
      throws Exception {
    for (int i = 0; i < (Boolean.getBoolean("smudge.all") ? 3 : 1); i++) {
      run("-Xmx64m", ErrorProgram.class, operation);
    }
  }

  /** What the JVM links there for the first time must not be of no use ever after. */
  @ParameterizedTest
  @ValueSource(strings = {"DISCARD", "SLOT_REMOVE"})
  void stackEndsAtEveryCall_beforeTheCallWasEverMade_laterCallsWork(String operation)
      throws Exception {
    run("-Xmx64m", ErrorProgram.class, operation, Mode.BITMAP.name());
  }

  private static void run(String option, Class<?> program, String... arguments) throws Exception {
    String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
    List<String> command =
        new ArrayList<>(
            List.of(java, option, "-XX:+UseSerialGC", "-XX:-UsePerfData", "-cp", classPath()));
    command.add(program.getName());
    command.addAll(List.of(arguments));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertTrue(process.waitFor(200, TimeUnit.SECONDS), "it does not end");
    assertEquals(0, process.exitValue(), output);
  }
}
