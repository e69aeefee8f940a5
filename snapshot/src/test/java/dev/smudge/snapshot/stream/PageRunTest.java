package dev.smudge.snapshot.stream;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** Runs of pages, there and back. */
class PageRunTest {
  private static final int PAGE = 512;

  private final PageRunEncoder encoder = new PageRunEncoder();
  private final PageRunDecoder decoder = new PageRunDecoder();

  private static byte[] randomPage(SplittableRandom random) {
    byte[] page = new byte[PAGE];
    random.nextBytes(page);
    return page;
  }

  private static ByteBuffer joined(ByteBuffer[] parts) {
    ByteBuffer all = ByteBuffer.allocate(parts[0].remaining() + parts[1].remaining());
    return all.put(parts[0]).put(parts[1]).flip();
  }

  private byte[] read(ByteBuffer bytes, PageRun run, int index, byte[] base) throws IOException {
    byte[] page = new byte[PAGE];
    int at = run.offset(index);
    decoder.read(
        run,
        index,
        bytes.slice(at, run.offset(index + 1) - at),
        page,
        key -> {
          assertEquals(4711, key);
          return base;
        });
    return page;
  }

  @Test
  void read_pagesOfEachEncoding_areWhatWasAdded() throws Exception {
    SplittableRandom random = new SplittableRandom(1);
    byte[] base = randomPage(random);
    byte[] near = base.clone();
    near[7]++;
    byte[] text = new byte[PAGE];
    java.util.Arrays.fill(text, (byte) 'x');
    List<byte[]> pages = List.of(new byte[PAGE], randomPage(random), text, near);
    encoder.begin(3, PAGE);
    for (int i = 0; i < pages.size(); i++) {
      encoder.add((1L << 40) + 10L * i, pages.get(i), i == 3 ? base : null, 4711);
    }
    ByteBuffer bytes = joined(encoder.finish());
    PageRun run = PageRun.parse(bytes);
    assertEquals(3, run.slotId());
    assertEquals(4, run.count());
    assertEquals(PAGE, run.pageBytes());
    assertEquals(bytes.remaining(), run.offset(4));
    List<Integer> sizes = new ArrayList<>();
    for (int i = 0; i < pages.size(); i++) {
      assertEquals((1L << 40) + 10L * i, run.page(i));
      assertArrayEquals(pages.get(i), read(bytes, run, i, base), "page " + i);
      sizes.add(run.offset(i + 1) - run.offset(i));
    }
    assertEquals(0, sizes.get(0));
    assertEquals(PAGE, sizes.get(1)); // does not get smaller
    assertTrue(sizes.get(2) < 30 && sizes.get(3) < 40, sizes::toString);
    assertTrue(run.isDifference(3) && !run.isDifference(2));
  }

  @Test
  void parseAndRead_everyByteChangedOrCutOff_isFound() throws Exception {
    SplittableRandom random = new SplittableRandom(2);
    byte[] base = randomPage(random);
    byte[] near = base.clone();
    near[100] = 1;
    List<byte[]> pages = List.of(randomPage(random), near, new byte[PAGE]);
    encoder.begin(0, PAGE);
    for (int i = 0; i < pages.size(); i++) {
      encoder.add(i, pages.get(i), i == 1 ? base : null, 4711);
    }
    ByteBuffer whole = joined(encoder.finish());
    for (int at = 0; at < whole.remaining(); at++) {
      byte[] bytes = new byte[whole.remaining()];
      whole.get(0, bytes);
      bytes[at] ^= (byte) (1 << random.nextInt(8));
      ByteBuffer changed = ByteBuffer.wrap(bytes);
      assertThrows(
          PageDamageException.class,
          () -> {
            PageRun run = PageRun.parse(changed);
            for (int i = 0; i < run.count(); i++) {
              read(changed, run, i, base);
            }
          },
          "byte " + at);
    }
    int head = PageRun.parse(whole).offset(0);
    for (int length = 0; length < head; length++) {
      ByteBuffer cut = whole.slice(0, length);
      assertThrows(PageDamageException.class, () -> PageRun.parse(cut), length + " bytes");
    }
  }

  @Test
  void add_outOfOrderOrOfAnotherSizeOrTooMany_isRefusedAndNothingIsAdded() throws Exception {
    byte[] page = new byte[PAGE];
    assertThrows(IllegalStateException.class, () -> encoder.add(0, page, null, 0));
    assertThrows(IllegalArgumentException.class, () -> encoder.begin(0, 0));
    assertThrows(IllegalArgumentException.class, () -> encoder.begin(0, (1 << 22) + 1));
    encoder.begin(0, PAGE);
    assertThrows(IllegalStateException.class, encoder::finish);
    encoder.add(5, page, null, 0);
    assertThrows(IllegalArgumentException.class, () -> encoder.add(5, page, null, 0));
    assertThrows(IllegalArgumentException.class, () -> encoder.add(6, new byte[1], null, 0));
    assertThrows(IllegalArgumentException.class, () -> encoder.add(6, page, new byte[1], 0));
    for (int i = 1; i < PageRunEncoder.MAX_PAGES; i++) {
      encoder.add(5 + i, page, null, 0);
    }
    assertTrue(encoder.isFull());
    assertThrows(IllegalStateException.class, () -> encoder.add(500, page, null, 0));
    assertEquals(PageRunEncoder.MAX_PAGES, PageRun.parse(joined(encoder.finish())).count());
  }
}
