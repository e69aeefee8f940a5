package dev.smudge.endive;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import run.endive.runtime.ByteArrayMemory;
import run.endive.runtime.Memory;
import run.endive.wasm.InvalidException;
import run.endive.wasm.UninstantiableException;
import run.endive.wasm.types.ActiveDataSegment;
import run.endive.wasm.types.DataSegment;
import run.endive.wasm.types.Instruction;
import run.endive.wasm.types.MemoryLimits;
import run.endive.wasm.types.OpCode;
import run.endive.wasm.types.PassiveDataSegment;

/** Random calls of every method: results, errors and bytes are those of Endive's own memory. */
class SameAsByteArrayMemoryTest {
  private static final int MAXIMUM = 5;
  private static final List<Charset> CHARSETS =
      List.of(StandardCharsets.UTF_8, StandardCharsets.UTF_16LE);

  private static List<Method> methods(boolean shared) {
    return MemoryMethodsTest.methods().stream()
        .filter(method -> !method.getName().startsWith("initialize")) // needs an instance
        // Endive's own: on an unshared memory these throw NullPointerException inside
        .filter(method -> shared || !method.getName().matches("atomic.*(Int|Long|Short)"))
        // Endive's own fails with the address of a lock that it never made
        .filter(method -> !method.getName().equals("lock"))
        .sorted((a, b) -> a.toString().compareTo(b.toString()))
        .toList();
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void randomCalls_anyArguments_sameResultsErrorsAndBytes(boolean shared) throws Exception {
    long seed = Long.getLong("smudge.seed", new Random().nextLong());
    Random random = new Random(seed);
    List<Method> methods = methods(shared);
    for (int round = 0; round < 6; round++) {
      MemoryLimits limits = new MemoryLimits(round % 3, MAXIMUM, shared);
      try (Guest guest = new Guest(MAXIMUM)) {
        Memory expected = new ByteArrayMemory(limits);
        Memory actual = guest.linear(limits);
        expected.initialize(null, segments(), 0);
        actual.initialize(null, segments(), 0);
        for (int i = 0; i < 3_000; i++) {
          Method method = methods.get(random.nextInt(methods.size()));
          @Nullable Object[] arguments = arguments(method, expected, random);
          assertEquals(
              result(expected, method, arguments),
              result(actual, method, arguments),
              () -> method + " " + Arrays.deepToString(arguments) + ", -Dsmudge.seed=" + seed);
        }
        assertSameBytes(expected, actual);
        guest.copyDirtyPages();
        guest.assertCopyIsEqual();
      }
    }
  }

  private static void assertSameBytes(Memory expected, Memory actual) {
    int length = expected.pages() * Memory.PAGE_SIZE;
    assertEquals(expected.pages(), actual.pages());
    assertArrayEquals(expected.readBytes(0, length), actual.readBytes(0, length));
  }

  private static DataSegment[] segments() {
    return new DataSegment[] {
      new PassiveDataSegment(new byte[] {1, 2, 3, 4, 5, 6, 7}), PassiveDataSegment.EMPTY
    };
  }

  private static String result(Memory memory, Method method, @Nullable Object[] arguments)
      throws IllegalAccessException {
    try {
      Object result = method.invoke(memory, arguments);
      return switch (result) {
        case byte[] bytes -> Arrays.toString(bytes);
        case Float f -> "float " + Float.floatToRawIntBits(f);
        case Double d -> "double " + Double.doubleToRawLongBits(d);
        case null -> "void";
        default -> result.toString();
      };
    } catch (InvocationTargetException e) {
      Throwable cause = Objects.requireNonNull(e.getCause());
      return cause instanceof ArrayIndexOutOfBoundsException
          ? cause.getClass().getName() // the compiler leaves the message out
          : cause.toString();
    }
  }

  private static @Nullable Object[] arguments(Method method, Memory memory, Random random) {
    Class<?>[] types = method.getParameterTypes();
    @Nullable Object[] arguments = new @Nullable Object[types.length];
    String name = method.getName();
    for (int i = 0; i < types.length; i++) {
      arguments[i] = value(types[i], random);
      if (types[i] == int.class) {
        boolean address = (i == 0 && !name.equals("fill")) || (i == 1 && name.equals("copy"));
        arguments[i] = address ? address(memory, random) : number(random);
      }
    }
    if ((name.startsWith("atomic") || name.equals("waitOn")) && types.length > 0) {
      arguments[0] = (int) arguments[0] & -8; // the machine checks the alignment
    }
    switch (name) {
      case "waitOn", "atomicWait" -> arguments[2] = (long) random.nextInt(1000);
      case "grow" -> arguments[0] = random.nextInt(20) == 0 ? number(random) : 0;
      case "drop" -> arguments[0] = 1 + random.nextInt(2); // 2 is out of bounds
      case "fill" -> {
        arguments[1] = address(memory, random);
        arguments[2] = (int) arguments[1] + number(random);
      }
      case "initPassiveSegment" -> {
        arguments[0] = random.nextInt(3);
        arguments[1] = address(memory, random);
      }
      default -> {}
    }
    return arguments;
  }

  /** Often at the edges of pages, of the memory and of the numbers. */
  private static int address(Memory memory, Random random) {
    int near = random.nextInt(24) - 12;
    return switch (random.nextInt(6)) {
      case 0 -> Memory.PAGE_SIZE * memory.pages() + near;
      case 1 -> Memory.PAGE_SIZE * random.nextInt(MAXIMUM + 1) + near;
      case 2 -> List.of(0, Integer.MAX_VALUE, Integer.MIN_VALUE, -65536).get(near & 3) + near;
      default -> random.nextInt(Memory.PAGE_SIZE * MAXIMUM);
    };
  }

  private static int number(Random random) {
    return switch (random.nextInt(8)) {
      case 0 -> random.nextInt();
      case 1 -> random.nextInt(2 * Memory.PAGE_SIZE);
      case 2 -> -random.nextInt(3);
      default -> random.nextInt(16);
    };
  }

  private static @Nullable Object value(Class<?> type, Random random) {
    return switch (type.getSimpleName()) {
      case "long" -> random.nextLong() >> random.nextInt(64);
      case "short" -> (short) random.nextInt();
      case "byte" -> (byte) random.nextInt();
      case "float" -> Float.intBitsToFloat(random.nextInt());
      case "double" -> Double.longBitsToDouble(random.nextLong());
      case "String" -> "a\u00e9\u4e00\ud83d\ude00".substring(0, random.nextInt(4));
      case "Charset" -> CHARSETS.get(random.nextInt(2));
      case "byte[]" -> {
        byte[] bytes = new byte[random.nextInt(20)];
        random.nextBytes(bytes);
        yield bytes;
      }
      default -> null;
    };
  }

  @Test
  void initialize_activeSegments_sameBytesAndErrors() {
    int[] addresses = {0, 65533, 65534, 131069, 131070, -1, 131072, Integer.MAX_VALUE};
    for (int address : addresses) {
      try (Guest guest = new Guest(2)) {
        Memory expected = new ByteArrayMemory(new MemoryLimits(2));
        Memory actual = guest.linear(2);
        assertEquals(initialize(expected, address), initialize(actual, address));
        assertSameBytes(expected, actual);
      }
    }
  }

  private static String initialize(Memory memory, int address) {
    List<Instruction> offset = List.of(new Instruction(0, OpCode.I32_CONST, new long[] {address}));
    List<Instruction> zero = List.of(new Instruction(0, OpCode.I32_CONST, new long[] {0}));
    DataSegment[] segments = {
      new ActiveDataSegment(1, zero, new byte[] {9, 9}), // of another memory
      new PassiveDataSegment(new byte[] {8}),
      new ActiveDataSegment(0, offset, new byte[] {1, 2, 3})
    };
    try {
      memory.initialize(null, segments);
      return "done";
    } catch (UninstantiableException e) {
      return e.toString();
    }
  }

  @Test
  void drop_segment_isSeenInTheArrayThatWasGiven() {
    try (Guest guest = new Guest(1)) {
      Memory memory = guest.linear(1);
      DataSegment[] segments = segments();
      memory.initialize(null, segments);
      memory.drop(0);
      assertEquals(PassiveDataSegment.EMPTY, segments[0]);
    }
  }

  @Test
  void atomics_misaligned_invalidAsFromTheMachine() {
    try (Guest guest = new Guest(1)) {
      TrackedMemory memory = guest.linear(new MemoryLimits(1, 1, true));
      assertThrows(InvalidException.class, () -> memory.atomicAddInt(2, 1));
      assertThrows(InvalidException.class, () -> memory.atomicReadLong(4));
      assertThrows(InvalidException.class, () -> memory.atomicWait(2, 0, 1));
    }
  }

  @Test
  void atomics_unsharedMemory_work() {
    try (Guest guest = new Guest(1)) {
      TrackedMemory memory = guest.linear(1);
      assertEquals(0, memory.atomicAddInt(8, 5));
      assertEquals(5, memory.atomicXchgLong(8, 1));
      assertEquals(1, memory.atomicCmpxchgShort(8, (short) 1, (short) -1));
      assertEquals(0xffff, memory.readInt(8));
    }
  }

  @Test
  void grow_withinTheSlot_newPagesAreZero() {
    try (Guest guest = new Guest(3)) {
      TrackedMemory memory = guest.linear(1);
      assertEquals(3, memory.maximumPages());
      assertEquals(1, memory.grow(2));
      assertEquals(-1, memory.grow(1));
      assertEquals(-1, memory.grow(-1));
      assertEquals(3, memory.grow(0));
      assertArrayEquals(
          new byte[2 * Memory.PAGE_SIZE], memory.readBytes(Memory.PAGE_SIZE, 2 * Memory.PAGE_SIZE));
    }
  }

  @Test
  void grow_byAnotherFacade_isSeen() {
    try (Guest guest = new Guest(3)) {
      TrackedMemory memory = guest.linear(1);
      TrackedMemory other = memory.withVcpu(guest.memory.addVcpu());
      assertEquals(1, other.grow(1));
      memory.writeI32(Memory.PAGE_SIZE + 4, 7);
      assertEquals(2, memory.pages());
      assertEquals(7, memory.readInt(Memory.PAGE_SIZE + 4));
    }
  }

  @Test
  void bulk_noBytesAtTheEndOfTheSlot_areNoError() {
    try (Guest guest = new Guest(1)) {
      TrackedMemory memory = guest.linear(1);
      memory.write(Memory.PAGE_SIZE, new byte[3], 3, 0);
      memory.fill((byte) 1, Memory.PAGE_SIZE, Memory.PAGE_SIZE);
      memory.copy(Memory.PAGE_SIZE, 0, 0);
      memory.copy(0, Memory.PAGE_SIZE, 0);
      assertEquals(0, memory.readBytes(Memory.PAGE_SIZE, 0).length);
      // The MMU may report a page once that was only read.
      assertTrue(guest.copyDirtyPages().isEmpty() || Guest.MMU);
    }
    try (Guest guest = new Guest(1)) {
      guest.linear(0).zero();
      assertTrue(guest.copyDirtyPages().isEmpty() || Guest.MMU);
    }
  }

  @Test
  void over_slotTooSmall_refused() {
    try (Guest guest = new Guest(1)) {
      IllegalArgumentException e =
          assertThrows(IllegalArgumentException.class, () -> guest.linear(2));
      assertTrue(e.toString().contains("2 pages"), e::toString);
    }
  }
}
