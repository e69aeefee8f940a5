package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class PlaceholderTest {
  @Test
  void name_called_namesTheModule() {
    assertEquals("core", Placeholder.name());
  }
}
