import dev.smudge.snapshot.MachineState;
import dev.smudge.snapshot.SnapshotStore;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.LogVcpu;
import dev.smudge.sync.pages.PagePort;
import java.io.IOException;
import java.nio.file.Path;

/**
 * All of Smudge in this machine: save states in a file, each of what was written since the last.
 */
final class States implements PagePort.OwnRam, AutoCloseable {
  private final Ram ram;
  private final DirtyLog log = DirtyLog.create();
  private final LogSlot slot = log.addSlot(0, Ram.SIZE >> Ram.PAGE_SHIFT, 1 << Ram.PAGE_SHIFT);
  private final LogVcpu vcpu;

  States(Ram ram) {
    this.ram = ram;
    this.vcpu = log.addVcpu(ram::dropTlb); // at a safepoint after pages were armed again
    vcpu.online();
  }

  void written(int address, int length) {
    vcpu.mark(slot, address, length); // after the store
  }

  void endOfBlock() {
    vcpu.safepoint();
  }

  SnapshotStore<LogSlot> open(Path file, MachineState registers) throws IOException {
    return SnapshotStore.open(file, log.client("states", InitialView.ALL_DIRTY), this, registers);
  }

  @Override
  public void read(LogSlot slot, long page, byte[] to) {
    System.arraycopy(ram.bytes, (int) page << Ram.PAGE_SHIFT, to, 0, to.length);
  }

  @Override
  public void write(LogSlot slot, long page, byte[] from) {
    System.arraycopy(from, 0, ram.bytes, (int) page << Ram.PAGE_SHIFT, from.length);
  }

  @Override
  public void close() {
    vcpu.close();
    log.close();
  }
}
