package dev.smudge.examples;

import java.util.Locale;
import java.util.stream.LongStream;

/** Compares what a guest printed with an uninterrupted run. */
final class OutputCheck {
  private OutputCheck() {}

  /** All that came after the given lines, to the end. */
  static Verdict rest(Transcript whole, Transcript rest, long[] before) {
    String difference = rest.differenceFrom(whole, before, true);
    if (difference != null) {
      return new Verdict(false, difference);
    }
    return new Verdict(
        true,
        String.format(
            Locale.ROOT,
            "%,d lines of %,d, the same as in an uninterrupted run",
            rest.size(),
            rest.size() + LongStream.of(before).sum()));
  }

  /** What came before the guest left. */
  static Verdict beginning(Transcript whole, Transcript beginning) {
    String difference = beginning.differenceFrom(whole, new long[0], false);
    return difference == null
        ? new Verdict(true, String.format(Locale.ROOT, "%,d lines, the same", beginning.size()))
        : new Verdict(false, difference);
  }
}
