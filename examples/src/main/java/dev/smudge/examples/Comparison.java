package dev.smudge.examples;

import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * RAM of source and destination, compared byte for byte while neither ran.
 *
 * @param pages compared
 * @param differing pages that are not the same
 * @param first guest addresses of the first byte that differs, of some of those pages
 */
record Comparison(long pages, long differing, List<Long> first) {
  /** How many addresses are kept. */
  static final int SHOWN = 8;

  boolean isEqual() {
    return differing == 0;
  }

  /** {@return how many pages there are, and how many are not the same} */
  String summary() {
    return isEqual()
        ? String.format(Locale.ROOT, "%,d pages, byte for byte the same", pages)
        : String.format(Locale.ROOT, "%,d of %,d pages differ", differing, pages);
  }

  @Override
  public String toString() {
    if (isEqual()) {
      return summary();
    }
    String addresses =
        first.stream().map(a -> "0x" + Long.toHexString(a)).collect(Collectors.joining(", "));
    return summary()
        + ": writes were lost at "
        + addresses
        + (differing > first.size() ? ", ..." : "");
  }
}
