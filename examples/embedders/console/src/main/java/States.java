import dev.smudge.snapshot.MachineState;
import dev.smudge.snapshot.Rewind;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.pages.PagePort;

/** All of Smudge in this console: a state per frame, in memory. */
final class States implements PagePort.OwnRam, MachineState, AutoCloseable {
  private static final int PAGE = 256; // cells

  private final Console console;
  // Nothing runs while a state is saved.
  private final DirtyLog log = DirtyLog.builder().buildStopped();
  private final LogSlot work;
  private final LogSlot screen;
  private final Rewind<LogSlot> rewind;

  States(Console console) {
    this.console = console;
    this.work = log.addSlot(0, console.work.length / PAGE, PAGE);
    this.screen = log.addSlot(1, console.screen.length / PAGE, PAGE);
    this.rewind =
        Rewind.over(log.client("rewind", InitialView.ALL_DIRTY), this, this, 4 << 20); // bytes
  }

  void written(int[] array, int index) {
    log.mark(array == console.work ? work : screen, index, 1);
  }

  Rewind<LogSlot> rewind() {
    return rewind;
  }

  @Override
  public void read(LogSlot slot, long page, byte[] to) {
    int[] cells = slot == work ? console.work : console.screen;
    for (int i = 0; i < PAGE; i++) {
      to[i] = (byte) cells[(int) page * PAGE + i];
    }
  }

  @Override
  public void write(LogSlot slot, long page, byte[] from) {
    int[] cells = slot == work ? console.work : console.screen;
    for (int i = 0; i < PAGE; i++) {
      cells[(int) page * PAGE + i] = from[i] & 0xff;
    }
  }

  @Override
  public byte[] save() {
    return new byte[] {(byte) console.dx, (byte) console.dy};
  }

  @Override
  public void restore(byte[] bytes) {
    console.dx = bytes[0];
    console.dy = bytes[1];
  }

  @Override
  public void close() {
    rewind.close();
    log.close();
  }
}
