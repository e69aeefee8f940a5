package dev.smudge.snapshot;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/**
 * A disk in memory that fails when it is told to, and that knows what is on it for sure: after a
 * loss of power it has what was forced, and of each later write a part from its beginning, or
 * nothing, whatever became of the others.
 */
class MemoryDisk implements StoreFile.Disk {
  private static final class Write {
    final long at;
    final byte[] bytes; // none: the file is cut off there

    Write(long at, byte[] bytes) {
      this.at = at;
      this.bytes = bytes;
    }
  }

  byte[] bytes = {};
  private byte[] forced = {};
  private final List<Write> since = new ArrayList<>();

  /** Operations until one fails; negative: none does. */
  int untilFault = -1;

  /** Once it has failed, it fails for ever: the process has died. */
  boolean dies;

  /** A failure. */
  static final class Full extends IOException {
    private static final long serialVersionUID = 1L;

    Full() {
      super("no space left");
    }
  }

  private boolean fails() {
    if (untilFault == 0) {
      if (!dies) {
        untilFault = -1;
      }
      return true;
    }
    untilFault -= untilFault > 0 ? 1 : 0;
    return false;
  }

  @Override
  public int read(ByteBuffer to, long at) {
    if (at >= bytes.length) {
      return -1;
    }
    int length = Math.min(to.remaining(), bytes.length - (int) at);
    to.put(bytes, (int) at, length);
    return length;
  }

  @Override
  public int write(ByteBuffer from, long at) throws IOException {
    boolean fails = fails();
    byte[] piece = new byte[fails ? from.remaining() / 2 : from.remaining()];
    from.get(piece);
    bytes = put(bytes, at, piece);
    since.add(new Write(at, piece));
    if (fails) {
      throw new Full();
    }
    return piece.length;
  }

  private static byte[] put(byte[] to, long at, byte[] piece) {
    byte[] result = Arrays.copyOf(to, Math.max(to.length, (int) at + piece.length));
    System.arraycopy(piece, 0, result, (int) at, piece.length);
    return result;
  }

  @Override
  public void force() throws IOException {
    if (fails()) {
      throw new Full();
    }
    forced = bytes;
    since.clear();
  }

  @Override
  public void truncate(long size) throws IOException {
    if (fails()) {
      throw new Full();
    }
    bytes = Arrays.copyOf(bytes, (int) size);
    since.add(new Write(size, new byte[0]));
  }

  @Override
  public long size() {
    return bytes.length;
  }

  @Override
  public void close() throws IOException {
    // Its bytes stay.
  }

  /** {@return a disk with the same bytes} */
  MemoryDisk copy() {
    MemoryDisk copy = new MemoryDisk();
    copy.bytes = bytes.clone();
    copy.forced = copy.bytes;
    return copy;
  }

  private static byte[] after(Write write, byte[] left) {
    return write.bytes.length == 0
        ? Arrays.copyOf(left, (int) write.at)
        : put(left, write.at, write.bytes);
  }

  /** {@return what may be there after a loss of power} */
  MemoryDisk afterPowerLoss(SplittableRandom random) {
    byte[] left = forced;
    int missing = since.isEmpty() || random.nextBoolean() ? -1 : random.nextInt(since.size());
    for (int i = 0; i < since.size(); i++) {
      Write write = since.get(i);
      if (missing >= 0) { // one of them, and all others are there
        left = i == missing ? left : after(write, left);
      } else if (write.bytes.length == 0) {
        left = random.nextBoolean() ? Arrays.copyOf(left, (int) write.at) : left;
      } else if (random.nextBoolean()) {
        int length = random.nextBoolean() ? write.bytes.length : random.nextInt(write.bytes.length);
        left = put(left, write.at, Arrays.copyOf(write.bytes, length));
      }
    }
    MemoryDisk disk = new MemoryDisk();
    disk.bytes = left;
    disk.forced = left;
    return disk;
  }
}
