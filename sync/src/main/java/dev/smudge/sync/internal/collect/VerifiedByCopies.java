package dev.smudge.sync.internal.collect;

import dev.smudge.bitmap.PageSet;
import dev.smudge.sync.verify.PageContent;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/** Keeps a copy of each known page, and compares. */
final class VerifiedByCopies extends VerifiedSlot {
  private final PageContent content;
  private final Map<Long, byte[]> copies = new HashMap<>(); // of known pages; without: all zero
  private final byte[] buffer;
  private final byte[] zeroes;

  /** Makes one that knows no page. */
  VerifiedByCopies(Slot slot, PageContent content) {
    super(slot, content);
    this.content = content;
    this.buffer = new byte[Math.toIntExact(tracked().pageSize())];
    this.zeroes = new byte[buffer.length];
  }

  @Override
  void learn(PageSet pages) {
    pages.forEachRun((first, count) -> {
      for (long page = first; page < first + count; page++) {
        content.read(tracked(), page, buffer);
        if (Arrays.equals(buffer, zeroes)) {
          copies.remove(page);
        } else {
          copies.put(page, buffer.clone());
        }
        isKnown(page); // last: the copy is there
      }
    });
  }

  @Override
  void look(String between, long look) {
    long words = (slot().pageCount() + 63) >>> 6;
    for (int word = 0; word < words; word++) {
      for (long rest = knownOf(word); rest != 0; rest &= rest - 1) {
        compare(((long) word << 6) + Long.numberOfTrailingZeros(rest), between, look);
      }
    }
  }

  private void compare(long page, String between, long look) {
    if (differences().containsKey(page)) {
      return;
    }
    content.read(tracked(), page, buffer);
    byte[] before = copies.getOrDefault(page, zeroes);
    int at = Arrays.mismatch(before, buffer);
    if (at >= 0) {
      String what =
          String.format(
              Locale.ROOT,
              "changed and nobody marked it: the byte at offset 0x%x of the slot was 0x%02x and is"
                  + " 0x%02x since a write",
              (page << slot().pageShift()) + at,
              before[at],
              buffer[at]);
      differences().put(page, new Difference(page, at, what, between, look));
    }
  }
}
