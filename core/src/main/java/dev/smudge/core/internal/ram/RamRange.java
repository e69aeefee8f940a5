package dev.smudge.core.internal.ram;

import java.util.List;
import java.util.stream.Stream;

/** A part of some RAM, from one offset to another. */
public record RamRange(long from, long end) {
  /** {@return whether it has something in common with another} */
  public boolean overlaps(long otherFrom, long otherEnd) {
    return from < otherEnd && otherFrom < end;
  }

  /** What of some ranges is inside of another. */
  public static List<RamRange> inside(List<RamRange> ranges, long from, long end) {
    return ranges.stream()
        .filter(range -> range.overlaps(from, end))
        .map(range -> new RamRange(Math.max(from, range.from), Math.min(end, range.end)))
        .toList();
  }

  /** {@return two lists in one} */
  public static List<RamRange> both(List<RamRange> some, List<RamRange> others) {
    return Stream.concat(some.stream(), others.stream()).toList();
  }
}
