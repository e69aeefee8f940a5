package dev.smudge.bitmap;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What {@link LiveBitmap#fetch} promises, and the markers that are half-way while it runs. */
class LiveBitmapFetchTest {
  private static final VarHandle WORDS_OF;
  private static final VarHandle WORD = MethodHandles.arrayElementVarHandle(long[].class);

  static {
    try {
      WORDS_OF =
          MethodHandles.privateLookupIn(ArmableBitmap.class, MethodHandles.lookup())
              .findVarHandle(ArmableBitmap.class, "words", long[].class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private final LiveBitmap bitmap = new LiveBitmap(100_000);

  /** The second half of a mark whose first half saw the summary bit set: the OR of the word. */
  private void finishHalfDoneMark(long page) {
    WORD.getAndBitwiseOrRelease((long[]) WORDS_OF.get(bitmap), (int) (page >>> 6), 1L << page);
  }

  private BitSet fetch(boolean quiesced) {
    BitSet pages = new BitSet();
    bitmap.fetch(quiesced, (word, bits) -> PageSetModelTest.or(pages, word, bits));
    return pages;
  }

  @Test
  void fetch_nothingMarked_handsOutNothing() {
    assertTrue(fetch(false).isEmpty());
    bitmap.disarm(); // not reported
    assertTrue(fetch(false).isEmpty());
  }

  @Test
  void fetch_markedAndQuiescedTwice_handsOutTwiceThenNoMore() {
    Bits.mark(bitmap, 40_000);
    assertEquals(1, fetch(false).cardinality());
    assertTrue(fetch(true).get(40_000), "a suspect is read once more after the quiescent state");
    assertTrue(fetch(false).isEmpty());
  }

  @Test
  void fetch_neverQuiesced_readsSuspectsEachTime() {
    Bits.mark(bitmap, 40_000);
    for (int i = 0; i < 5; i++) {
      assertTrue(fetch(false).get(40_000));
    }
  }

  @Test
  void fetch_markerHalfWayAndNotQuiesced_findsItHoweverLateItEnds() {
    Bits.mark(bitmap, 0); // a first marker sets the summary bit, a second one sees it set
    assertEquals(1, fetch(false).cardinality());
    fetch(false);
    fetch(false);
    finishHalfDoneMark(1);
    assertFalse(Bits.mark(bitmap, 1), "others rely on it");
    assertTrue(fetch(false).get(1));
  }

  @Test
  void fetch_markerEndsBeforeItsQuiescentState_isFoundByTheFetchThatIsTold() {
    Bits.mark(bitmap, 0);
    fetch(false);
    finishHalfDoneMark(511); // same block, another word
    assertTrue(fetch(true).get(511));
  }

  @Test
  void fetch_markerHalfWayInEarlierAndLaterFetch_staysSuspectForTheLater() {
    Bits.mark(bitmap, 0);
    fetch(false);
    Bits.mark(bitmap, 64); // sets the summary bit anew: a second half-way marker can have seen it
    assertTrue(fetch(true).get(64)); // the first fetch's markers are done, this one's are not
    finishHalfDoneMark(128);
    assertTrue(fetch(false).get(128));
  }

  @Test
  void fetch_markInsideTheSink_isFoundByThisOrTheNext() {
    bitmap.markRange(0, 512);
    Bits.mark(bitmap, 90_000);
    BitSet seen = new BitSet();
    bitmap.fetch(
        false,
        (word, bits) -> {
          PageSetModelTest.or(seen, word, bits);
          if (word == 3) {
            bitmap.clearWord(0, -1L); // already handed out
            Bits.mark(bitmap, 7);
            Bits.mark(bitmap, 95_000);
          }
        });
    assertTrue(seen.get(90_000));
    BitSet next = fetch(true);
    assertTrue(next.get(7));
    assertTrue(next.get(95_000));
  }

  @Test
  void fetch_otherMarkerEndsInsideTheSink_isFoundByTheNext() {
    bitmap.markRange(0, 512);
    bitmap.clear(0, 64);
    bitmap.fetch(
        false,
        (word, bits) -> {
          if (word == 7) {
            finishHalfDoneMark(5); // word 0 was read already
          }
        });
    assertTrue(fetch(false).get(5));
  }

  @Test
  void fetch_sinkThrowsAtEveryWord_nextFetchesHandOutTheRest() {
    List<Integer> words = List.of(0, 7, 8, 511, 512, 700, 1562);
    for (int failing : words) {
      for (boolean quiesced : new boolean[] {false, true}) {
        LiveBitmap marked = new LiveBitmap(100_000);
        words.forEach(w -> assertTrue(Bits.mark(marked, 64L * w)));
        List<Integer> got = new ArrayList<>();
        assertThrows(
            ArithmeticException.class,
            () ->
                marked.fetch(
                    quiesced,
                    (word, bits) -> {
                      if (word == failing) {
                        throw new ArithmeticException("sink");
                      }
                      got.add(word);
                    }));
        List<Integer> second = new ArrayList<>();
        marked.fetch(false, (word, bits) -> second.add(word));
        got.addAll(second);
        assertTrue(got.containsAll(words), () -> failing + ": " + got);
      }
    }
  }

  @Test
  void fetch_sinkThrowsWhileQuiesced_suspectsOfBeforeAreKept() {
    Bits.mark(bitmap, 0);
    fetch(false);
    assertThrows(
        ArithmeticException.class,
        () ->
            bitmap.fetch(
                true,
                (word, bits) -> {
                  throw new ArithmeticException("sink");
                }));
    assertTrue(fetch(true).get(0));
  }

  @Test
  void clearedBit_markedAgain_isFetchedAgain() {
    Bits.mark(bitmap, 32_768);
    fetch(false);
    fetch(true);
    assertEquals(1, bitmap.clear(32_768, 1));
    assertTrue(fetch(true).isEmpty());
    assertTrue(Bits.mark(bitmap, 32_768));
    assertTrue(fetch(true).get(32_768));
  }

  @Test
  void moveInto_markerHalfWay_isFoundByTheNextThatIsTold() {
    PageSet set = new PageSet(100_000);
    Bits.mark(bitmap, 0);
    bitmap.moveInto(false, set);
    finishHalfDoneMark(511); // same block, another word
    assertTrue(bitmap.moveInto(true, set));
    assertTrue(Bits.contains(set, 511));
    assertFalse(bitmap.isMarked(511));
  }
}
