package dev.smudge.ring;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The bytes of a ring, as the kernel or another process sees them; places count modulo the size.
 */
final class RawRing {
  private static final VarHandle INTS =
      MethodHandles.byteBufferViewVarHandle(int[].class, ByteOrder.nativeOrder());

  final ByteBuffer buffer;
  private final int entries;

  RawRing(int entries) {
    this.entries = entries;
    this.buffer = ByteBuffer.allocateDirect(16 * entries).order(ByteOrder.nativeOrder());
  }

  private int at(long entry) {
    return 16 * (int) (entry % entries);
  }

  int flags(long entry) {
    return buffer.getInt(at(entry));
  }

  void flags(long entry, int flags) {
    buffer.putInt(at(entry), flags);
  }

  int flagsAcquire(long entry) {
    return (int) INTS.getAcquire(buffer, at(entry));
  }

  void flagsRelease(long entry, int flags) {
    INTS.setRelease(buffer, at(entry), flags);
  }

  Page page(long entry) {
    return new Page(buffer.getInt(at(entry) + 4), buffer.getLong(at(entry) + 8));
  }

  void put(long entry, int flags, Page page) {
    buffer.putInt(at(entry) + 4, page.slotId()).putLong(at(entry) + 8, page.pageIndex());
    flags(entry, flags);
  }

  byte[] bytes(long entry) {
    byte[] bytes = new byte[16];
    buffer.get(at(entry), bytes);
    return bytes;
  }

  byte[] bytes() {
    byte[] bytes = new byte[16 * entries];
    buffer.get(0, bytes);
    return bytes;
  }
}
