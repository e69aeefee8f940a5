import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * The machine's RAM, behind a software TLB for stores: a store to a page that is in it is just a
 * store. The slow path puts the page in.
 */
final class Ram {
  static final int SIZE = 1 << 20;
  static final int PAGE_SHIFT = 12;

  private static final VarHandle INT =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle SHORT =
      MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.LITTLE_ENDIAN);

  final byte[] bytes = new byte[SIZE];
  private final boolean[] writable = new boolean[SIZE >> PAGE_SHIFT]; // the TLB
  private final States states = new States(this); // Smudge

  States states() {
    return states;
  }

  int load(int address, int width) {
    return switch (width) {
      case 1 -> bytes[address];
      case 2 -> (short) SHORT.get(bytes, address);
      default -> (int) INT.get(bytes, address);
    };
  }

  void store(int address, int width, int value) {
    switch (width) {
      case 1 -> bytes[address] = (byte) value;
      case 2 -> SHORT.set(bytes, address, (short) value);
      default -> INT.set(bytes, address, value);
    }
    if (!writable[address >> PAGE_SHIFT]) { // naturally aligned: of one page
      states.written(address, width); // Smudge
      writable[address >> PAGE_SHIFT] = true;
    }
  }

  void dropTlb() {
    Arrays.fill(writable, false);
  }
}
