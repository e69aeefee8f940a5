package dev.smudge.mmu;

import dev.smudge.linux.AnonymousMemory;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * What the kernel may do to pages that nobody writes: moves them, splits and merges them, swaps
 * them out, shares them with a child. None of it makes a page dirty, and none loses one.
 */
enum Disturber {
  COLD(20),
  PAGEOUT(21),
  HUGE(14),
  SMALL(15),
  COLLAPSE(25),
  MERGEABLE(12),
  UNMERGEABLE(13),
  COMPACTION {
    @Override
    boolean disturb(MemorySegment pages) throws IOException {
      if (!Files.isWritable(COMPACT)) {
        return false;
      }
      Files.writeString(COMPACT, "1");
      return true;
    }
  },
  FORK {
    @Override
    boolean disturb(MemorySegment pages) throws IOException, InterruptedException {
      return new ProcessBuilder("true").start().waitFor() == 0;
    }
  };

  static {
    // A copy of the address space, as by fork(2): by default the JVM makes none for a child.
    System.setProperty("jdk.lang.Process.launchMechanism", "FORK");
  }

  private static final Path COMPACT = Path.of("/proc/sys/vm/compact_memory");

  private final int advice;

  Disturber() {
    this(0);
  }

  Disturber(int advice) {
    this.advice = advice;
  }

  /** Does it to whole pages; returns whether this machine has it. */
  boolean disturb(MemorySegment pages) throws IOException, InterruptedException {
    return AnonymousMemory.advise(pages, advice);
  }

  /** Whether there is somewhere to swap to. */
  static boolean hasSwap() throws IOException {
    return Files.readAllLines(Path.of("/proc/swaps")).size() > 1;
  }

  /** Whether the kernel merges pages of the same content. */
  static boolean mergesPages() throws IOException {
    Path run = Path.of("/sys/kernel/mm/ksm/run");
    return Files.exists(run) && Files.readString(run).strip().equals("1");
  }
}
