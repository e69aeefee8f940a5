package dev.smudge.core;

import java.util.List;

/** The accessors of one value, on their bits. */
record Access(String name, int width, boolean bigEndian, Put put, Get get) {
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
              "Byte",
              1,
              false,
              (v, a, b) -> v.putByte(a, (byte) b),
              (v, a) -> v.getByte(a) & 0xffL),
          new Access(
              "Short",
              2,
              false,
              (v, a, b) -> v.putShort(a, (short) b),
              (v, a) -> v.getShort(a) & 0xffffL),
          new Access(
              "ShortBe",
              2,
              true,
              (v, a, b) -> v.putShortBe(a, (short) b),
              (v, a) -> v.getShortBe(a) & 0xffffL),
          new Access(
              "Int",
              4,
              false,
              (v, a, b) -> v.putInt(a, (int) b),
              (v, a) -> v.getInt(a) & 0xffff_ffffL),
          new Access(
              "IntBe",
              4,
              true,
              (v, a, b) -> v.putIntBe(a, (int) b),
              (v, a) -> v.getIntBe(a) & 0xffff_ffffL),
          new Access("Long", 8, false, Vcpu::putLong, Vcpu::getLong),
          new Access("LongBe", 8, true, Vcpu::putLongBe, Vcpu::getLongBe),
          new Access(
              "Float",
              4,
              false,
              (v, a, b) -> v.putFloat(a, Float.intBitsToFloat((int) b)),
              (v, a) -> Float.floatToRawIntBits(v.getFloat(a)) & 0xffff_ffffL),
          new Access(
              "FloatBe",
              4,
              true,
              (v, a, b) -> v.putFloatBe(a, Float.intBitsToFloat((int) b)),
              (v, a) -> Float.floatToRawIntBits(v.getFloatBe(a)) & 0xffff_ffffL),
          new Access(
              "Double",
              8,
              false,
              (v, a, b) -> v.putDouble(a, Double.longBitsToDouble(b)),
              (v, a) -> Double.doubleToRawLongBits(v.getDouble(a))),
          new Access(
              "DoubleBe",
              8,
              true,
              (v, a, b) -> v.putDoubleBe(a, Double.longBitsToDouble(b)),
              (v, a) -> Double.doubleToRawLongBits(v.getDoubleBe(a))));

  /**
   * Bits that this accessor carries unchanged: a floating-point register may quieten a NaN, so
   * those are left out.
   */
  long bits(long any) {
    long low = any & -1L >>> (64 - 8 * width);
    boolean nan =
        (name.startsWith("Float") && Float.isNaN(Float.intBitsToFloat((int) low)))
            || (name.startsWith("Double") && Double.isNaN(Double.longBitsToDouble(low)));
    return nan ? 1 : low;
  }

  @Override
  public String toString() {
    return name;
  }
}
