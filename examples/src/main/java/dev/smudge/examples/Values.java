package dev.smudge.examples;

import java.util.Objects;
import java.util.regex.Matcher;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

/**
 * Reads the values of one option, and says in one line what is allowed.
 *
 * @param spec the command
 * @param option its name
 */
record Values(@Nullable CommandSpec spec, String option) {
  private static final java.util.regex.Pattern SIZE =
      java.util.regex.Pattern.compile("([0-9]{1,15})([KMGT]?)");
  private static final String UNITS = "KMGT";
  private static final int GRAIN = 4096;

  /** One of some words. */
  String choice(String value, String... allowed) {
    for (String one : allowed) {
      if (one.equals(value)) {
        return one;
      }
    }
    throw bad(value, String.join(" or ", allowed));
  }

  /** A whole number. */
  long number(String value, long min, long max) {
    long number;
    try {
      number = Long.parseLong(value);
    } catch (NumberFormatException e) {
      throw badNumber(value, min, max);
    }
    if (number < min || number > max) {
      throw badNumber(value, min, max);
    }
    return number;
  }

  private ParameterException badNumber(String value, long min, long max) {
    return bad(value, "a whole number from " + min + " to " + max);
  }

  /** A size in bytes. */
  long size(String value, long min, long max) {
    Matcher matcher = SIZE.matcher(value);
    if (matcher.matches()) {
      int shift = 10 * (1 + UNITS.indexOf(matcher.group(2)));
      shift = matcher.group(2).isEmpty() ? 0 : shift;
      long count = Long.parseLong(matcher.group(1));
      if (count <= max >> shift && (count << shift) >= min && (count << shift) % GRAIN == 0) {
        return count << shift;
      }
    }
    throw bad(
        value,
        "a size from " + text(min) + " to " + text(max) + ", a multiple of 4K, such as 64M or 1T");
  }

  private static String text(long size) {
    int unit = (63 - Long.numberOfLeadingZeros(size)) / 10;
    return (size >> (10 * unit)) + UNITS.substring(unit - 1, unit);
  }

  /** What to throw. */
  ParameterException bad(String value, String allowed) {
    return usage(option + " '" + value + "': allowed is " + allowed);
  }

  /** What to throw. */
  ParameterException usage(String message) {
    return new ParameterException(Objects.requireNonNull(spec).commandLine(), message);
  }
}
