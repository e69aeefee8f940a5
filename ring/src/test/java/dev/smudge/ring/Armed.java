package dev.smudge.ring;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;

/** A call of an armer. */
record Armed(int slotId, long wordIndex, long mask) {
  /** The naive model: one call for the pages of one word that follow one another. */
  static List<Armed> model(Iterable<Page> pages) {
    List<Armed> calls = new ArrayList<>();
    for (Page page : pages) {
      BigInteger[] at =
          new BigInteger(Long.toUnsignedString(page.pageIndex()))
              .divideAndRemainder(BigInteger.valueOf(64));
      calls.add(
          new Armed(
              page.slotId(),
              at[0].longValueExact(),
              BigInteger.ONE.shiftLeft(at[1].intValue()).longValue()));
    }
    return merged(calls);
  }

  /** Calls that follow one another for the same word as one: a reset may cut them at any 64. */
  static List<Armed> merged(List<Armed> calls) {
    List<Armed> merged = new ArrayList<>();
    for (Armed call : calls) {
      Armed last = merged.isEmpty() ? null : merged.get(merged.size() - 1);
      if (last != null && last.slotId == call.slotId && last.wordIndex == call.wordIndex) {
        merged.set(
            merged.size() - 1, new Armed(last.slotId, last.wordIndex, last.mask | call.mask));
      } else {
        merged.add(call);
      }
    }
    return merged;
  }

  boolean covers(Page page) {
    return slotId == page.slotId()
        && wordIndex == page.pageIndex() >>> 6
        && (mask >>> (page.pageIndex() & 63) & 1) != 0;
  }
}
