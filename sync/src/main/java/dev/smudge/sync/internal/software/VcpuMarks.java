package dev.smudge.sync.internal.software;

import dev.smudge.bitmap.ArmableBitmap;
import dev.smudge.sync.internal.vcpu.RingRoom;
import org.jspecify.annotations.Nullable;

/** How one vCPU marks pages, and reports those that it has changed. By the vCPU's thread. */
public interface VcpuMarks {
  /** Marks nothing: the tracker finds the writes without marks. */
  VcpuMarks NONE =
      new VcpuMarks() {
        @Override
        public long mark(ArmableBitmap live, int entryId, long firstPage, long lastPage) {
          return 0;
        }

        @Override
        public @Nullable RingRoom ring() {
          return null;
        }
      };

  /**
   * Marks pages, each unless it is marked already.
   *
   * @return how many went from clean to dirty
   */
  long mark(ArmableBitmap live, int entryId, long firstPage, long lastPage);

  /** {@return the ring in which they are reported; null if there is none} */
  @Nullable RingRoom ring();
}
