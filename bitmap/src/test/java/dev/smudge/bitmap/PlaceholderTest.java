package dev.smudge.bitmap;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class PlaceholderTest {
  @Test
  void name_called_namesTheModule() {
    assertEquals("bitmap", Placeholder.name());
  }
}
