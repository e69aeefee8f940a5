package dev.smudge.ring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

final class RingLayoutTest {
  @Test
  void states_ofAllFlags_areTheKernels() {
    for (int other : new int[] {0, 4, 1 << 31}) {
      assertFalse(RingLayout.isDirty(other));
      assertFalse(RingLayout.isHarvested(other));
      assertTrue(RingLayout.isDirty(other | 1));
      assertFalse(RingLayout.isHarvested(other | 1));
      for (int harvested : new int[] {2, 3}) {
        assertFalse(RingLayout.isDirty(other | harvested));
        assertTrue(RingLayout.isHarvested(other | harvested));
      }
    }
  }

  @Test
  void fields_inOrder_fillTheEntry() {
    assertEquals(0, RingLayout.FLAGS_OFFSET);
    assertEquals(RingLayout.FLAGS_OFFSET + Integer.BYTES, RingLayout.SLOT_OFFSET);
    assertEquals(RingLayout.SLOT_OFFSET + Integer.BYTES, RingLayout.PAGE_OFFSET);
    assertEquals(RingLayout.PAGE_OFFSET + Long.BYTES, RingLayout.ENTRY_SIZE);
  }
}
