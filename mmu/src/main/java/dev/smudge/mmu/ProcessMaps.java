package dev.smudge.mmu;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * What memory a range of this process is, from {@code /proc/self/maps}: only private anonymous
 * memory can be tracked. Shared memory loses pages that are swapped out, and a file may be written
 * by others, of whom the page tables here know nothing.
 */
final class ProcessMaps {
  private static final Path MAPS = Path.of("/proc/self/maps");
  private static final Pattern LINE =
      Pattern.compile("([0-9a-f]+)-([0-9a-f]+) (\\S{4}) \\S+ \\S+ (\\d+) *(.*)");

  private ProcessMaps() {}

  /** Why a range cannot be tracked; null if it can. */
  static @Nullable String reasonAgainst(long from, long end) {
    long at = from;
    // Names of files are bytes, and no text perhaps: a decoder that replaces what it cannot decode.
    try (BufferedReader maps =
        new BufferedReader(
            new InputStreamReader(Files.newInputStream(MAPS), StandardCharsets.UTF_8))) {
      for (String line = maps.readLine(); at < end && line != null; line = maps.readLine()) {
        Matcher matcher = LINE.matcher(line);
        if (!matcher.matches()) {
          continue;
        }
        long mappedEnd = Long.parseUnsignedLong(matcher.group(2), 16);
        if (Long.compareUnsigned(mappedEnd, at) <= 0) {
          continue;
        }
        if (Long.compareUnsigned(Long.parseUnsignedLong(matcher.group(1), 16), at) > 0) {
          break;
        }
        String reason = reasonAgainst(matcher.group(3), matcher.group(4), matcher.group(5));
        if (reason != null) {
          return reason;
        }
        at = mappedEnd;
      }
    } catch (IOException e) {
      throw new UncheckedIOException("cannot read " + MAPS, e);
    }
    return at < end ? "0x" + Long.toHexString(at) + " is not mapped" : null;
  }

  static @Nullable String reasonAgainst(String permissions, String inode, String name) {
    if (permissions.charAt(3) != 'p') {
      return "it is shared memory (" + (name.isEmpty() ? "anonymous" : name) + ")";
    }
    if (name.startsWith("/anon_hugepage")) {
      return "it is huge pages of hugetlbfs; GuestSlot.adviseHugePages asks for those that can be";
    }
    if (!inode.equals("0")) {
      return "it is a mapping of the file " + name;
    }
    if (!permissions.startsWith("rw")) {
      return "it is not readable and writable (" + permissions + ")";
    }
    return null;
  }
}
