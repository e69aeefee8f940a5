package dev.smudge.core;

import java.util.List;

/** The accessors of one value, on their bits. */
record Access(String name, int width, Put put, Get get) {
  interface Put {
    void put(Vcpu vcpu, long address, long bits);
  }

  interface Get {
    /** Zero-extended. */
    long get(Vcpu vcpu, long address);
  }

  static final List<Access> ALL =
      List.of(
          new Access(
              "Byte", 1, (v, a, b) -> v.putByte(a, (byte) b), (v, a) -> v.getByte(a) & 0xffL),
          new Access(
              "Short", 2, (v, a, b) -> v.putShort(a, (short) b), (v, a) -> v.getShort(a) & 0xffffL),
          new Access(
              "Int", 4, (v, a, b) -> v.putInt(a, (int) b), (v, a) -> v.getInt(a) & 0xffff_ffffL),
          new Access("Long", 8, Vcpu::putLong, Vcpu::getLong));

  /** Bits that this accessor carries. */
  long bits(long any) {
    return any & -1L >>> (64 - 8 * width);
  }

  @Override
  public String toString() {
    return name;
  }
}
