package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;

/** A log with one slot and one vCPU, and what watches have told. */
abstract class WriteWatchCase {
  static final int PAGE = 4096;

  final TestTracker tracker = new TestTracker();
  final List<Throwable> reported = new ArrayList<>();
  final DirtyLog log;
  final LogSlot slot;
  final LogVcpu vcpu;
  final List<String> told = new ArrayList<>();
  int flushes; // of a write TLB

  WriteWatchCase(DirtyLogBuilder builder, int pages) {
    log = builder.errorHandler(reported::add).interceptTracker(tracker::over).build();
    slot = log.addSlot(0, pages, PAGE);
    vcpu = log.addVcpu(() -> flushes++);
  }

  final void tell(long at, long length) {
    told.add(at + "+" + length);
  }

  final void assertTold(String... writes) {
    assertEquals(List.of(writes), told);
    told.clear();
  }

  final boolean vcpuIsAsked() {
    return vcpu.state().isAsked();
  }

  static List<String> take(DirtyClient<LogSlot> client) {
    List<String> runs = new ArrayList<>();
    try (DirtyBatch<LogSlot> batch = client.take()) {
      batch.forEachRun((in, first, count) -> runs.add(first + "+" + count));
      batch.commit();
    }
    return runs;
  }
}
