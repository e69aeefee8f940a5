package dev.smudge.core.internal.ram;

import java.util.ArrayList;
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
    List<RamRange> inside = new ArrayList<>();
    for (RamRange range : ranges) {
      if (range.overlaps(from, end)) {
        inside.add(new RamRange(Math.max(from, range.from), Math.min(end, range.end)));
      }
    }
    return List.copyOf(inside);
  }

  /** {@return two lists in one} */
  public static List<RamRange> both(List<RamRange> some, List<RamRange> others) {
    return Stream.concat(some.stream(), others.stream()).toList();
  }
}
