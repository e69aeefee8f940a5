package dev.smudge.endive;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import run.endive.compiler.MachineFactoryCompiler;
import run.endive.runtime.ByteArrayMemory;
import run.endive.runtime.ImportMemory;
import run.endive.runtime.ImportValues;
import run.endive.runtime.Instance;
import run.endive.runtime.InterpreterMachine;
import run.endive.runtime.Machine;
import run.endive.runtime.Memory;
import run.endive.wasm.WasmModule;
import run.endive.wasm.types.MemoryLimits;

/** WebAssembly on Endive: every instruction that touches memory, threads, and a whole program. */
@Timeout(value = 600, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class WasmGuestTest {
  private static final int MAXIMUM = 4;

  /** An exported function for one instruction; its parameters begin with so many addresses. */
  private record Op(String name, String parameters, String result, String body, int addresses) {
    String wat() {
      String results = result.isEmpty() ? "" : " (result " + result + ")";
      return "(func (export \""
          + name
          + "\") (param "
          + parameters
          + ")"
          + results
          + " ("
          + body
          + "))\n";
    }

    int arity() {
      return parameters.isEmpty() ? 0 : parameters.split(" ", -1).length;
    }
  }

  private static Op load(String name) {
    return new Op(name, "i32", name.substring(0, 3), name + " offset=4 (local.get 0)", 1);
  }

  private static Op store(String name) {
    String type = name.substring(0, 3);
    return new Op(name, "i32 " + type, "", name + " offset=4 (local.get 0) (local.get 1)", 1);
  }

  private static List<Op> plain() {
    List<Op> ops = new ArrayList<>();
    for (String type : List.of("i32", "i64", "f32", "f64")) {
      ops.add(load(type + ".load"));
      ops.add(store(type + ".store"));
    }
    for (String type : List.of("i32", "i64")) {
      for (String width : type.equals("i32") ? List.of("8", "16") : List.of("8", "16", "32")) {
        ops.add(load(type + ".load" + width + "_s"));
        ops.add(load(type + ".load" + width + "_u"));
        ops.add(store(type + ".store" + width));
      }
    }
    String three = " (local.get 0) (local.get 1) (local.get 2)";
    ops.add(new Op("size", "", "i32", "memory.size", 0));
    ops.add(new Op("grow", "i32", "i32", "memory.grow (local.get 0)", 0));
    ops.add(new Op("fill", "i32 i32 i32", "", "memory.fill" + three, 1));
    ops.add(new Op("copy", "i32 i32 i32", "", "memory.copy" + three, 2));
    ops.add(new Op("init", "i32 i32 i32", "", "memory.init $passive" + three, 1));
    ops.add(new Op("drop", "", "", "data.drop $dropped", 0));
    ops.add(new Op("initDropped", "i32 i32 i32", "", "memory.init $dropped" + three, 1));
    return ops;
  }

  private static List<Op> atomic() {
    List<Op> ops = new ArrayList<>();
    for (String type : List.of("i32", "i64")) {
      ops.add(load(type + ".atomic.load"));
      ops.add(store(type + ".atomic.store"));
      for (String width : type.equals("i32") ? List.of("8", "16") : List.of("8", "16", "32")) {
        ops.add(load(type + ".atomic.load" + width + "_u"));
        ops.add(store(type + ".atomic.store" + width));
        rmw(ops, type, width, "_u");
      }
      rmw(ops, type, "", "");
    }
    ops.add(
        new Op(
            "notify",
            "i32 i32",
            "i32",
            "memory.atomic.notify offset=4 (local.get 0) (local.get 1)",
            1));
    for (String type : List.of("i32", "i64")) {
      String name = "memory.atomic.wait" + type.substring(1);
      ops.add(
          new Op(
              name,
              "i32 " + type,
              "i32",
              name + " offset=4 (local.get 0) (local.get 1) (i64.const 1000)",
              1));
    }
    return ops;
  }

  private static void rmw(List<Op> ops, String type, String width, String suffix) {
    for (String op : List.of("add", "sub", "and", "or", "xor", "xchg", "cmpxchg")) {
      String name = type + ".atomic.rmw" + width + "." + op + suffix;
      boolean two = op.equals("cmpxchg");
      ops.add(
          new Op(
              name,
              "i32 " + type + (two ? " " + type : ""),
              type,
              name + " offset=4 (local.get 0) (local.get 1)" + (two ? " (local.get 2)" : ""),
              1));
    }
  }

  private static String module(List<Op> ops, boolean shared) {
    StringBuilder wat = new StringBuilder("(module (memory 2 ").append(MAXIMUM);
    wat.append(shared ? " shared)" : ")");
    wat.append("(data (i32.const 65530) \"active, across two pages\")");
    wat.append("(data $passive \"passive\") (data $dropped \"dropped\")\n");
    ops.forEach(op -> wat.append(op.wat()));
    return wat.append(")").toString();
  }

  @ParameterizedTest
  @CsvSource({"false,false", "false,true", "true,false", "true,true"})
  void everyInstruction_randomOperands_sameResultsTrapsAndBytes(boolean shared, boolean compiled) {
    long seed = Long.getLong("smudge.seed", new Random().nextLong());
    Random random = new Random(seed);
    List<Op> ops = plain();
    if (shared) { // unshared, Endive's own memory fails with NullPointerException inside
      ops.addAll(atomic());
    }
    WasmModule module = Wat.compile(module(ops, shared));
    Function<Instance, Machine> machine =
        compiled ? MachineFactoryCompiler.compile(module) : InterpreterMachine::new;
    for (int round = 0; round < 3; round++) {
      try (Guest guest = new Guest(MAXIMUM)) {
        Instance expected = instance(module, machine, ByteArrayMemory::new);
        Instance actual = instance(module, machine, guest::linear);
        for (int i = 0; i < 6_000; i++) {
          Op op = ops.get(random.nextInt(ops.size()));
          long[] operands = operands(op, random);
          assertEquals(
              call(expected, op, operands),
              call(actual, op, operands),
              () -> op + " " + Arrays.toString(operands) + ", -Dsmudge.seed=" + seed);
        }
        int length = expected.memory().pages() * Memory.PAGE_SIZE;
        assertArrayEquals(
            expected.memory().readBytes(0, length), actual.memory().readBytes(0, length));
        guest.copyDirtyPages();
        guest.assertCopyIsEqual();
      }
    }
  }

  private static Instance instance(
      WasmModule module,
      Function<Instance, Machine> machine,
      Function<MemoryLimits, Memory> memory) {
    return Instance.builder(module).withMachineFactory(machine).withMemoryFactory(memory).build();
  }

  private static String call(Instance instance, Op op, long[] operands) {
    try {
      return Arrays.toString(instance.export(op.name).apply(operands));
    } catch (RuntimeException e) {
      return e.toString();
    }
  }

  private static long[] operands(Op op, Random random) {
    long[] operands = new long[op.arity()];
    for (int i = 0; i < operands.length; i++) {
      boolean wide = op.parameters.split(" ", -1)[i].endsWith("64");
      operands[i] =
          i < op.addresses
              ? address(op, random)
              : wide ? random.nextLong() >> random.nextInt(64) : number(op, random);
    }
    return operands;
  }

  private static int address(Op op, Random random) {
    int near = random.nextInt(24) - 16;
    int address =
        switch (random.nextInt(5)) {
          case 0 -> Memory.PAGE_SIZE * random.nextInt(MAXIMUM + 1) + near;
          case 1 -> List.of(0, Integer.MAX_VALUE, Integer.MIN_VALUE, -4).get(near & 3) + near;
          default -> random.nextInt(Memory.PAGE_SIZE * MAXIMUM);
        };
    boolean aligned = op.name.contains("atomic") && random.nextInt(8) > 0;
    return aligned ? (address & -8) - 4 : address;
  }

  private static int number(Op op, Random random) {
    if (op.name.equals("grow")) {
      return random.nextInt(100) == 0 ? random.nextInt(6) - 1 : 0;
    }
    return switch (random.nextInt(8)) {
      case 0 -> random.nextInt();
      case 1 -> random.nextInt(2 * Memory.PAGE_SIZE);
      case 2 -> -random.nextInt(3);
      default -> random.nextInt(12);
    };
  }

  /** The program is WABT's wat2wasm. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void program_whileAClientTakes_sameOutput(boolean compiled) {
    String wat = module(compiled ? plain() : plain().subList(0, 2), false);
    byte[] expected = Wat.toBytes(wat, ByteArrayMemory::new, compiled);
    try (Guest guest = new Guest(512)) {
      guest.whileAClientTakes(collector -> {
        assertArrayEquals(expected, Wat.toBytes(wat, guest::linear, compiled));
        guest.vcpu.offline();
      });
    }
  }

  private static final String THREADS =
      """
      (module (import "env" "memory" (memory 4 4 shared))
        (func (export "count") (param $x i32) (param $n i32)
          (loop $l
            (local.set $x (i32.xor (local.get $x) (i32.shl (local.get $x) (i32.const 13))))
            (local.set $x (i32.xor (local.get $x) (i32.shr_u (local.get $x) (i32.const 17))))
            (local.set $x (i32.xor (local.get $x) (i32.shl (local.get $x) (i32.const 5))))
            (drop (i32.atomic.rmw.add
              (i32.and (local.get $x) (i32.const 0xfffc)) (i32.const 1)))
            (drop (i64.atomic.rmw16.add_u offset=65536
              (i32.and (local.get $x) (i32.const 0xfffe)) (i64.const 1)))
            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
            (br_if $l (local.get $n))))
        (func (export "pingPong") (param $me i32) (param $n i32)
          (loop $l
            (block $myTurn
              (loop $wait
                (br_if $myTurn (i32.eq (i32.atomic.load (i32.const 131072)) (local.get $me)))
                (drop (memory.atomic.wait32 (i32.const 131072)
                  (i32.xor (local.get $me) (i32.const 1)) (i64.const -1)))
                (br $wait)))
            (i64.store (i32.const 196607)
              (i64.add (i64.load (i32.const 196607)) (i64.const 1)))
            (i32.atomic.store (i32.const 131072) (i32.xor (local.get $me) (i32.const 1)))
            (drop (memory.atomic.notify (i32.const 131072) (i32.const 1)))
            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
            (br_if $l (local.get $n)))))
      """;

  @Test
  void threads_aFacadeEach_countAndTakeTurns() {
    WasmModule module = Wat.compile(THREADS);
    Function<Instance, Machine> machine = MachineFactoryCompiler.compile(module);
    int n = 50_000;
    int rounds = 1_000;
    try (Guest guest = new Guest(4)) {
      TrackedMemory memory = guest.linear(new MemoryLimits(4, 4, true));
      guest.whileAClientTakes(collector ->
          guest.runAll(
              memory,
              m -> thread(module, machine, m).export("count").apply(1, n),
              m -> thread(module, InterpreterMachine::new, m).export("count").apply(2, n),
              m -> thread(module, machine, m).export("pingPong").apply(0, rounds),
              m -> thread(module, InterpreterMachine::new, m).export("pingPong").apply(1, rounds)));
      long ints = 0;
      long shorts = 0;
      for (int i = 0; i < Memory.PAGE_SIZE; i += 2) {
        ints += i % 4 == 0 ? memory.readInt(i) : 0;
        shorts += memory.readU16(Memory.PAGE_SIZE + i);
      }
      assertEquals(2L * n, ints);
      assertEquals(2L * n, shorts);
      assertEquals(2L * rounds, memory.readLong(196607));
    }
  }

  private static Instance thread(
      WasmModule module, Function<Instance, Machine> machine, Memory memory) {
    ImportMemory imported = new ImportMemory("env", "memory", memory);
    return Instance.builder(module)
        .withMachineFactory(machine)
        .withImportValues(ImportValues.builder().addMemory(imported).build())
        .build();
  }
}
