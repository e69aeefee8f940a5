package dev.smudge.ring;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class PlaceholderTest {
  @Test
  void name_called_namesTheModule() {
    assertEquals("ring", Placeholder.name());
  }
}
