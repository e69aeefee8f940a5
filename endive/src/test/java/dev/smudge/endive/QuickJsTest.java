package dev.smudge.endive;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.roastedroot.quickjs4j.core.Builtins;
import io.roastedroot.quickjs4j.core.Engine;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import run.endive.runtime.ByteArrayMemory;
import run.endive.runtime.Memory;
import run.endive.wasm.types.MemoryLimits;

/** QuickJS as a guest: a program that knows nothing of us. */
@Timeout(value = 600, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class QuickJsTest {
  private static final String SCRIPT =
      """
      const words = new Map();
      let x = 12345;
      for (let i = 0; i < 5000; i++) {
        x = (x * 1103515245 + 12345) % 2147483648;
        const word = 'w' + (x >>> 8) % 700;
        words.set(word, (words.get(word) ?? []).concat([i]));
      }
      const top = [...words].sort((a, b) => b[1].length - a[1].length || (a[0] < b[0] ? -1 : 1));
      for (const [word, places] of top.slice(0, 20)) {
        host.print(word + ' ' + places.length + ' ' + places.reduce((a, b) => a + b / 7, 0));
      }
      host.print(JSON.stringify({f: 0.1 + 0.2, re: 'abcabc'.replace(/b(.)/g, '<$1>'),
          big: (2n ** 200n).toString(), bytes: [...new Float64Array([1.5, -2.5])].join()}));
      try { null.x } catch (e) { host.print(String(e)) }
      """;

  private static List<String> run(Function<MemoryLimits, Memory> memory) {
    List<String> printed = new ArrayList<>();
    try (Engine engine =
        Engine.builder()
            .withMemoryFactory(memory)
            .addBuiltins(
                Builtins.builder("host").addStringToVoid("print", s -> printed.add(s)).build())
            .build()) {
      int code = engine.compile(SCRIPT);
      engine.exec(code);
      engine.free(code);
      printed.add(engine.stdout() + engine.stderr());
    }
    return printed;
  }

  @Test
  void script_whileAClientTakes_sameOutputAndCopyIsEqual() {
    List<String> expected = run(ByteArrayMemory::new);
    assertTrue(expected.size() > 20, expected::toString);
    try (Guest guest = new Guest(512)) {
      guest.whileAClientTakes(collector -> {
        assertEquals(expected, run(guest::linear));
        guest.vcpu.offline();
      });
    }
  }
}
