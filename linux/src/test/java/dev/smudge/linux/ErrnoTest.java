package dev.smudge.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class ErrnoTest {
  static Stream<Field> constants() {
    List<Field> constants =
        Arrays.stream(Errno.class.getDeclaredFields())
            .filter(field -> Modifier.isPublic(field.getModifiers()))
            .toList();
    assertNotEquals(0, constants.size());
    return constants.stream();
  }

  @ParameterizedTest
  @MethodSource("constants")
  void name_eachConstant_isThatOfItsField(Field constant) throws ReflectiveOperationException {
    assertEquals(constant.getName(), Errno.name(constant.getInt(null)));
  }

  @ParameterizedTest
  @MethodSource("constants")
  void meaning_eachConstant_isKnown(Field constant) throws ReflectiveOperationException {
    assertNotEquals("no known cause", Errno.meaning(constant.getInt(null)));
  }

  @Test
  void name_unknownNumber_hasTheNumber() {
    assertEquals("errno 1234", Errno.name(1234));
    assertEquals("no known cause", Errno.meaning(1234));
  }

  @Test
  void exception_message_namesCallErrnoAndMeaning() {
    ErrnoException e = new ErrnoException("open", Errno.ENOENT);
    assertEquals("open: ENOENT (2): there is no such file or entry", e.getMessage());
    assertEquals("open", e.call());
    assertEquals(2, e.errno());
  }
}
