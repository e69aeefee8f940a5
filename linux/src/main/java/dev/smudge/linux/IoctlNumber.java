package dev.smudge.linux;

/**
 * Computes the request numbers of {@code ioctl}, as the macros {@code _IO}, {@code _IOR}, {@code
 * _IOW} and {@code _IOWR} of the kernel's headers do.
 *
 * <pre>
 *  31 30 29            16 15       8 7        0
 * +-----+----------------+----------+----------+
 * | dir | argument bytes | type     | number   |
 * +-----+----------------+----------+----------+
 *
 * dir  0 no argument, 1 the kernel reads it (_IOW), 2 the kernel writes it (_IOR), 3 both (_IOWR)
 * </pre>
 *
 * <p>The numbers are the same on x86-64 and aarch64. Source: Linux
 * include/uapi/asm-generic/ioctl.h.
 */
public final class IoctlNumber {
  private static final int KERNEL_READS = 1;
  private static final int KERNEL_WRITES = 2;

  private IoctlNumber() {}

  /**
   * Returns the number of a request whose argument is no record.
   *
   * @param type type of the driver, 0 to 255
   * @param number number within the type, 0 to 255
   * @return the request number
   * @throws IllegalArgumentException if {@code type} or {@code number} is out of range
   */
  public static long io(int type, int number) {
    return of(0, type, number, 0);
  }

  /**
   * Returns the number of a request whose record the kernel reads.
   *
   * @param type type of the driver, 0 to 255
   * @param number number within the type, 0 to 255
   * @param size bytes of the record, 0 to 16,383
   * @return the request number
   * @throws IllegalArgumentException if an argument is out of range
   */
  public static long iow(int type, int number, long size) {
    return of(KERNEL_READS, type, number, size);
  }

  /**
   * Returns the number of a request whose record the kernel writes.
   *
   * @param type type of the driver, 0 to 255
   * @param number number within the type, 0 to 255
   * @param size bytes of the record, 0 to 16,383
   * @return the request number
   * @throws IllegalArgumentException if an argument is out of range
   */
  public static long ior(int type, int number, long size) {
    return of(KERNEL_WRITES, type, number, size);
  }

  /**
   * Returns the number of a request whose record the kernel reads and writes.
   *
   * @param type type of the driver, 0 to 255
   * @param number number within the type, 0 to 255
   * @param size bytes of the record, 0 to 16,383
   * @return the request number
   * @throws IllegalArgumentException if an argument is out of range
   */
  public static long iowr(int type, int number, long size) {
    return of(KERNEL_READS | KERNEL_WRITES, type, number, size);
  }

  private static long of(int direction, int type, int number, long size) {
    check("type", type, 8);
    check("number", number, 8);
    check("size", size, 14);
    return (long) direction << 30 | size << 16 | (long) type << 8 | number;
  }

  private static void check(String what, long value, int bits) {
    if (value >>> bits != 0) {
      throw new IllegalArgumentException(
          "the " + what + " of an ioctl request has to fit in " + bits + " bits: " + value);
    }
  }
}
