package dev.smudge.endive;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class PlaceholderTest {
  @Test
  void name_called_namesTheModule() {
    assertEquals("endive", Placeholder.name());
  }
}
