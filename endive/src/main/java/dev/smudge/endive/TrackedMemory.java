package dev.smudge.endive;

import static run.endive.runtime.ConstantEvaluators.computeConstantValue;

import dev.smudge.core.GuestSlot;
import dev.smudge.core.Vcpu;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.WeakHashMap;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import run.endive.runtime.Instance;
import run.endive.wasm.UninstantiableException;
import run.endive.wasm.WasmEngineException;
import run.endive.wasm.types.ActiveDataSegment;
import run.endive.wasm.types.DataSegment;
import run.endive.wasm.types.MemoryLimits;
import run.endive.wasm.types.PassiveDataSegment;

/**
 * The linear memory of an Endive WebAssembly guest, over a tracked slot: every write of the guest
 * and of its host functions marks its pages.
 *
 * <p><b>One facade per vCPU.</b> A facade belongs to the thread that runs its {@link Vcpu}. Threads
 * of one guest have one facade each over the same slot, made by {@link #withVcpu}; they share the
 * size and the waiters. Data segments belong to the facade, as they belong to an instance.
 *
 * <p><b>The access as the safepoint.</b> Every load and every store begins with {@link
 * Vcpu#safepoint}, where every earlier store is complete; so an access brings the vCPU online, and
 * no loop of accesses holds a collector up. While the guest does not access memory, take the vCPU
 * offline: call {@link Vcpu#offline} when a call into the guest has returned, and put {@link
 * #offline} around the waits of host functions. {@code memory.atomic.wait} does so by itself. A
 * guest that computes for long without touching its memory holds collectors up meanwhile.
 *
 * <p><b>If writes are found without marks</b> (by the MMU), and native access is granted to this
 * module and to {@code dev.smudge.core}, loads and stores go to RAM by address: they mark nothing
 * and are no safepoints. A take waits for no vCPU then. Bulk accesses and atomics are safepoints as
 * usual. The first store brings the vCPU online. So a pause, or a change of slots, waits until the
 * guest comes to a safepoint or calls the host, at most for the log's timeout. End the guest before
 * its slot is removed: a store after that is refused, a load is not.
 *
 * <p><b>Errors</b> are those of Endive's {@code ByteArrayMemory}, with the same exceptions and
 * messages. In addition, misuse of the vCPU is a {@link dev.smudge.sync.error.VcpuException}, and a
 * write after {@link dev.smudge.core.GuestMemory#seal} a {@link
 * dev.smudge.sync.error.SealedException}.
 *
 * <p><b>State</b> beside the slot's RAM is the number of pages ({@link #pages}). To move a guest,
 * transfer that number too, and call {@link #grow} for the missing pages.
 *
 * <p>Accesses allocate only their results, and take no lock; atomics are those of the machine,
 * between all widths. Source: docs/design.md 2, 3.2, 3.3.
 */
public sealed class TrackedMemory extends AtomicMemory permits UnmarkedMemory {
  private DataSegment @Nullable [] segments;
  private final Set<Instance> instances = Collections.newSetFromMap(new WeakHashMap<>());

  TrackedMemory(LinearMemory memory, Vcpu vcpu) {
    super(memory, vcpu);
  }

  /**
   * Makes a linear memory.
   *
   * @param slot its RAM, from the slot's first byte on; all of it zero, as in a new slot. The
   *     memory cannot grow beyond the slot's size, even if the limits allow more; a slot of the
   *     greatest wanted size costs only the memory that is touched
   * @param vcpu the vCPU of the thread that is to run the guest, of the same {@code GuestMemory}
   * @param limits the limits that Endive passes to a memory factory
   * @return the memory
   * @throws IllegalArgumentException if the initial pages do not fit into the slot, or the slot is
   *     not in the vCPU's memory
   */
  public static TrackedMemory over(GuestSlot slot, Vcpu vcpu, MemoryLimits limits) {
    return of(new LinearMemory(slot, limits), vcpu);
  }

  private static TrackedMemory of(LinearMemory memory, Vcpu vcpu) {
    if (!vcpu.hasSlot(memory.slot)) {
      throw new IllegalArgumentException(
          memory.slot + " is not in the memory of " + vcpu + ", whose accesses would go elsewhere");
    }
    return UnmarkedMemory.isFor(memory)
        ? new UnmarkedMemory(memory, vcpu)
        : new TrackedMemory(memory, vcpu);
  }

  /**
   * Makes another facade of this linear memory, for another thread of the guest.
   *
   * @param vcpu that thread's vCPU, of the same {@code GuestMemory}
   * @return the facade
   * @throws IllegalArgumentException if the slot is not in the vCPU's memory
   */
  public TrackedMemory withVcpu(Vcpu vcpu) {
    return of(memory, vcpu);
  }

  /** {@return the vCPU that this facade marks with} */
  public Vcpu vcpu() {
    return vcpu;
  }

  /** {@return the slot that has the bytes} */
  public GuestSlot slot() {
    return memory.slot;
  }

  /**
   * {@return the instances whose memory it is, several if they import it; none before the first}
   */
  List<Instance> instances() {
    return List.copyOf(instances);
  }

  /** {@return its data segments: the array itself, in which dropped ones are empty} */
  DataSegment @Nullable [] segments() {
    return segments;
  }

  /**
   * Runs blocking code with the vCPU offline, so that collectors do not wait for it. For host
   * functions; called by the vCPU's thread, between two accesses.
   *
   * @param <T> type of the result
   * @param blocking code that may block; an access to this memory inside it brings the vCPU online
   *     again
   * @return its result
   */
  public <T extends @Nullable Object> T offline(Supplier<T> blocking) {
    vcpu.offline();
    try {
      return blocking.get();
    } finally {
      vcpu.online();
    }
  }

  @Override
  public int pages() {
    return memory.pages();
  }

  @Override
  public int grow(int size) {
    return memory.grow(size);
  }

  @Override
  public int initialPages() {
    return memory.limits.initialPages();
  }

  @Override
  public int maximumPages() {
    return memory.maximumPages;
  }

  @Override
  public boolean shared() {
    return memory.limits.shared();
  }

  @Override
  public void initialize(Instance instance, DataSegment @Nullable [] dataSegments) {
    initialize(instance, dataSegments, 0);
  }

  @Override
  public void initialize(
      Instance instance, DataSegment @Nullable [] dataSegments, int memoryIndex) {
    instances.add(instance);
    segments = dataSegments; // the array itself: drop() is seen in it
    if (dataSegments == null) {
      return;
    }
    for (DataSegment segment : dataSegments) {
      if (segment instanceof ActiveDataSegment active) {
        if (active.index() == memoryIndex) {
          int addr = (int) computeConstantValue(instance, active.offsetInstructions())[0];
          initialize(addr, active.data());
        }
      } else if (!(segment instanceof PassiveDataSegment)) {
        throw new WasmEngineException("Data segment should be active or passive: " + segment);
      }
    }
  }

  private void initialize(int addr, byte[] data) {
    int limit = memory.size();
    if (isOutOfBounds(addr, data.length, limit)) {
      throw new UninstantiableException(outOfBoundsMessage(addr, data.length, limit));
    }
    write(addr, data, 0, data.length);
  }

  @Override
  public void initPassiveSegment(int segmentId, int dest, int offset, int size) {
    write(dest, Objects.requireNonNull(segments)[segmentId].data(), offset, size);
  }

  @Override
  public void drop(int segment) {
    Objects.requireNonNull(segments)[segment] = PassiveDataSegment.EMPTY;
  }

  @Override
  public void write(int addr, byte[] data, int offset, int size) {
    checkBounds(offset, size, data.length);
    long address = bulkAddress(addr, size);
    if (size != 0) { // no bytes at the end of memory are no error, at the end of the slot they are
      vcpu.write(address, data, offset, size);
    }
  }

  @Override
  public byte[] readBytes(int addr, int len) {
    long address = bulkAddress(addr, len);
    byte[] result = new byte[len];
    if (len != 0) {
      vcpu.read(address, result, 0, len);
    }
    return result;
  }

  @Override
  public void fill(byte value, int fromIndex, int toIndex) {
    int size = toIndex - fromIndex;
    long address = bulkAddress(fromIndex, size);
    if (size != 0) {
      vcpu.fill(address, size, value);
    }
  }

  @Override
  public void zero() {
    fill((byte) 0, 0, memory.size());
  }

  @Override
  public void copy(int dest, int src, int size) {
    long to = bulkAddress(dest, size);
    long from = bulkAddress(src, size);
    if (size != 0) {
      vcpu.copy(from, to, size);
    }
  }

  @Override
  public void writeByte(int addr, byte data) {
    vcpu.putByte(storeAddress(addr, 1), data);
  }

  @Override
  public void writeShort(int addr, short data) {
    vcpu.putShort(storeAddress(addr, 2), data);
  }

  @Override
  public void writeI32(int addr, int data) {
    vcpu.putInt(storeAddress(addr, 4), data);
  }

  @Override
  public void writeLong(int addr, long data) {
    vcpu.putLong(storeAddress(addr, 8), data);
  }

  @Override
  public void writeF32(int addr, float data) {
    vcpu.putInt(storeAddress(addr, 4), Float.floatToRawIntBits(data));
  }

  @Override
  public void writeF64(int addr, double data) {
    vcpu.putLong(storeAddress(addr, 8), Double.doubleToRawLongBits(data));
  }

  @Override
  public byte read(int addr) {
    return vcpu.getByte(loadAddress(addr, 1));
  }

  @Override
  public short readShort(int addr) {
    return vcpu.getShort(loadAddress(addr, 2));
  }

  @Override
  public long readU16(int addr) {
    return readShort(addr) & 0xffffL;
  }

  @Override
  public int readInt(int addr) {
    return vcpu.getInt(loadAddress(addr, 4));
  }

  @Override
  public long readLong(int addr) {
    return vcpu.getLong(loadAddress(addr, 8));
  }

  @Override
  public long readF32(int addr) {
    return readInt(addr);
  }

  @Override
  public float readFloat(int addr) {
    return Float.intBitsToFloat(vcpu.getInt(loadAddress(addr, 4)));
  }

  @Override
  public long readF64(int addr) {
    return readLong(addr);
  }

  @Override
  public double readDouble(int addr) {
    return Double.longBitsToDouble(vcpu.getLong(loadAddress(addr, 8)));
  }

  @Override
  public String toString() {
    return "TrackedMemory[" + pages() + " of " + maximumPages() + " pages over " + slot() + "]";
  }
}
