package dev.smudge.examples;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** What a guest printed, channel by channel. Thread-safe. */
final class Transcript implements GuestOutput {
  private final List<List<String>> channels = new ArrayList<>();
  private final GuestOutput tee;

  Transcript() {
    this((channel, text) -> {});
  }

  /** One that hands every line on as well. */
  Transcript(GuestOutput tee) {
    this.tee = tee;
  }

  @Override
  public void line(int channel, String text) {
    synchronized (this) {
      while (channels.size() <= channel) {
        channels.add(new ArrayList<>());
      }
      channels.get(channel).add(text);
    }
    tee.line(channel, text);
  }

  /** {@return how many lines each channel has} */
  synchronized long[] counts() {
    return channels.stream().mapToLong(List::size).toArray();
  }

  synchronized List<String> lines(int channel) {
    return channel < channels.size() ? List.copyOf(channels.get(channel)) : List.of();
  }

  synchronized int channelCount() {
    return channels.size();
  }

  /** {@return how many lines there are in all} */
  synchronized long size() {
    return channels.stream().mapToLong(List::size).sum();
  }

  /**
   * Compares this, a part of a run, with all of an uninterrupted one.
   *
   * @param whole the uninterrupted run
   * @param from how many lines of each channel came before this part
   * @param toTheEnd whether this part has to reach the end
   * @return null if it is the same, or what differs first
   */
  @Nullable String differenceFrom(Transcript whole, long[] from, boolean toTheEnd) {
    int count = Math.max(whole.channelCount(), Math.max(channelCount(), from.length));
    for (int channel = 0; channel < count; channel++) {
      List<String> all = whole.lines(channel);
      List<String> part = lines(channel);
      long before = channel < from.length ? from[channel] : 0;
      for (int i = 0; i < part.size(); i++) {
        long at = before + i;
        String expected = at < all.size() ? all.get((int) at) : null;
        if (!part.get(i).equals(expected)) {
          return String.format(
              Locale.ROOT,
              "channel %d, line %,d: '%s', and %s in an uninterrupted run",
              channel,
              at + 1,
              part.get(i),
              expected == null ? "nothing" : "'" + expected + "'");
        }
      }
      if (toTheEnd && before + part.size() != all.size()) {
        return String.format(
            Locale.ROOT,
            "channel %d ends after %,d lines, and after %,d in an uninterrupted run",
            channel,
            before + part.size(),
            all.size());
      }
    }
    return null;
  }
}
