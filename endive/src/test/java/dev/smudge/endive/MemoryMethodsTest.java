package dev.smudge.endive;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import run.endive.runtime.Memory;
import run.endive.wasm.types.ActiveDataSegment;
import run.endive.wasm.types.DataSegment;
import run.endive.wasm.types.Instruction;
import run.endive.wasm.types.MemoryLimits;
import run.endive.wasm.types.OpCode;
import run.endive.wasm.types.PassiveDataSegment;

/** Every method of Endive's interface: known, overridden where it has to be, and it marks. */
class MemoryMethodsTest {
  private static final int PAGE = 4096;
  private static final int ADDRESS = 5 * PAGE + 8;

  /** Overridden, and writes at its first {@code int}; see {@link #argument} for the others. */
  private static final Set<String> WRITES =
      Stream.concat(
              Stream.of(
                  "write(int,byte[],int,int)",
                  "writeI32(int,int)",
                  "writeLong(int,long)",
                  "writeShort(int,short)",
                  "writeByte(int,byte)",
                  "writeF32(int,float)",
                  "writeF64(int,double)",
                  "fill(byte,int,int)",
                  "copy(int,int,int)",
                  "zero()",
                  "initialize(Instance,DataSegment[])",
                  "initialize(Instance,DataSegment[],int)",
                  "initPassiveSegment(int,int,int,int)"),
              Stream.of("Int", "Long", "Short", "Byte")
                  .flatMap(type -> {
                    String t = type.toLowerCase(java.util.Locale.ROOT);
                    return Stream.concat(
                        Stream.of("Add", "And", "Or", "Xor", "Xchg", "Write")
                            .map(name -> "atomic" + name + type + "(int," + t + ")"),
                        Stream.of("atomicCmpxchg" + type + "(int," + t + "," + t + ")"));
                  }))
          .collect(Collectors.toSet());

  /** Overridden, and writes nothing. */
  private static final Set<String> READS =
      Set.of(
          "pages()",
          "grow(int)",
          "initialPages()",
          "maximumPages()",
          "shared()",
          "lock(int)",
          "waitOn(int,int,long)",
          "waitOn(int,long,long)",
          "notify(int,int)",
          "atomicFence()",
          "atomicWait(int,int,long)",
          "atomicWait(int,long,long)",
          "atomicNotify(int,int)",
          "atomicReadInt(int)",
          "atomicReadLong(int)",
          "atomicReadShort(int)",
          "atomicReadByte(int)",
          "read(int)",
          "readBytes(int,int)",
          "readInt(int)",
          "readLong(int)",
          "readShort(int)",
          "readU16(int)",
          "readF32(int)",
          "readFloat(int)",
          "readF64(int)",
          "readDouble(int)",
          "drop(int)");

  /** Defaults that allocate what they have to, and write through {@code write}. */
  private static final Set<String> DEFAULT_WRITES =
      Set.of(
          "write(int,byte[])",
          "writeString(int,String)",
          "writeString(int,String,Charset)",
          "writeCString(int,String)",
          "writeCString(int,String,Charset)");

  /** Defaults that allocate what they return, if anything, and read through the methods above. */
  private static final Set<String> DEFAULT_READS =
      Set.of(
          "readString(int,int)",
          "readString(int,int,Charset)",
          "readCString(int)",
          "readCString(int,Charset)",
          "readI32(int)",
          "readU32(int)",
          "readI64(int)",
          "readI16(int)",
          "readU8(int)",
          "readI8(int)");

  static List<Method> methods() {
    return Arrays.stream(Memory.class.getMethods())
        .filter(method -> !Modifier.isStatic(method.getModifiers()))
        .toList();
  }

  private static String key(Method method) {
    return method.getName()
        + Arrays.stream(method.getParameterTypes())
            .map(Class::getSimpleName)
            .collect(Collectors.joining(",", "(", ")"));
  }

  @Test
  void everyMethod_isClassifiedOnce() {
    Set<String> all = methods().stream().map(MemoryMethodsTest::key).collect(Collectors.toSet());
    List<String> classified =
        Stream.of(WRITES, READS, DEFAULT_WRITES, DEFAULT_READS).flatMap(Set::stream).toList();
    assertEquals(all, Set.copyOf(classified));
    assertEquals(all.size(), classified.size());
  }

  @ParameterizedTest
  @MethodSource("methods")
  void everyMethod_isOverriddenWhereItHasToBe(Method method) throws NoSuchMethodException {
    Class<?> declaring =
        TrackedMemory.class
            .getMethod(method.getName(), method.getParameterTypes())
            .getDeclaringClass();
    if (DEFAULT_WRITES.contains(key(method)) || DEFAULT_READS.contains(key(method))) {
      assertEquals(Memory.class, declaring);
    } else {
      assertNotEquals(Memory.class, declaring);
    }
  }

  @ParameterizedTest
  @MethodSource("methods")
  void everyMethod_marksExactlyWhatItWrites(Method method) throws ReflectiveOperationException {
    try (Guest guest = new Guest(4)) {
      Memory memory = guest.linear(new MemoryLimits(2, 4, true));
      memory.initialize(
          null, new DataSegment[] {new PassiveDataSegment(new byte[] {1, 2, 3, 4, 5, 6, 7, 8})});
      memory.write(0, new byte[] {9, 9, 9, 9, 9, 9, 9, 9});
      memory.writeByte(ADDRESS, (byte) 1);
      guest.copyDirtyPages();
      call(method, memory);
      Set<Long> dirty = guest.copyDirtyPages();
      if (key(method).equals("zero()")) {
        // Marked are all; stored to are those that are not zero already.
        assertEquals(Guest.MMU ? 2 : 2 * Memory.PAGE_SIZE / PAGE, dirty.size());
      } else if (WRITES.contains(key(method)) || DEFAULT_WRITES.contains(key(method))) {
        assertEquals(Set.of((long) ADDRESS / PAGE), dirty);
        guest.assertCopyIsEqual();
        assertTrue(memory.read(ADDRESS) != 1 || memory.read(ADDRESS + 1) != 0, "nothing written");
      } else {
        assertEquals(Set.of(), dirty);
      }
    }
  }

  private static void call(Method method, Memory memory) throws ReflectiveOperationException {
    Object[] arguments =
        switch (key(method)) {
          case "fill(byte,int,int)" -> new Object[] {(byte) 7, ADDRESS, ADDRESS + 8};
          case "copy(int,int,int)" -> new Object[] {ADDRESS, 0, 8};
          case "initPassiveSegment(int,int,int,int)" -> new Object[] {0, ADDRESS, 2, 5};
          case "initialize(Instance,DataSegment[])" -> new Object[] {null, active()};
          case "initialize(Instance,DataSegment[],int)" -> new Object[] {null, active(), 0};
          case "write(int,byte[],int,int)" -> new Object[] {ADDRESS, new byte[] {0, 7, 8}, 1, 2};
          case "atomicAndInt(int,int)" -> new Object[] {ADDRESS, 0};
          case "atomicAndLong(int,long)" -> new Object[] {ADDRESS, 0L};
          case "atomicAndShort(int,short)" -> new Object[] {ADDRESS, (short) 0};
          case "atomicAndByte(int,byte)" -> new Object[] {ADDRESS, (byte) 0};
          case "drop(int)", "grow(int)" -> new Object[] {0};
          case "waitOn(int,int,long)", "atomicWait(int,int,long)" -> new Object[] {ADDRESS, 1, 1L};
          case "waitOn(int,long,long)", "atomicWait(int,long,long)" ->
              new Object[] {ADDRESS, 1L, 1L};
          default -> defaultArguments(method);
        };
    try {
      method.invoke(memory, arguments);
    } catch (java.lang.reflect.InvocationTargetException e) {
      assertEquals("lock", method.getName());
    }
  }

  /** The address, then values; a compare-and-exchange expects the 1 that is there. */
  private static @Nullable Object[] defaultArguments(Method method) {
    Class<?>[] types = method.getParameterTypes();
    @Nullable Object[] arguments = new @Nullable Object[types.length];
    for (int i = 0; i < types.length; i++) {
      arguments[i] = i == 0 ? (Integer) ADDRESS : argument(types[i], types.length == 3 ? i : 6);
    }
    return arguments;
  }

  private static Object argument(Class<?> type, int value) {
    return switch (type.getSimpleName()) {
      case "int" -> value;
      case "long" -> (long) value;
      case "short" -> (short) value;
      case "byte" -> (byte) value;
      case "float" -> (float) value;
      case "double" -> (double) value;
      case "byte[]" -> new byte[] {(byte) value, 1};
      case "String" -> "text";
      default -> StandardCharsets.UTF_8;
    };
  }

  private static DataSegment[] active() {
    Instruction offset = new Instruction(0, OpCode.I32_CONST, new long[] {ADDRESS});
    return new DataSegment[] {
      new ActiveDataSegment(0, List.of(offset), new byte[] {4, 5}), PassiveDataSegment.EMPTY
    };
  }
}
