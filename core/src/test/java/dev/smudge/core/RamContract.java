package dev.smudge.core;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What holds for a slot over any RAM: the bytes of a plain array, and exactly the written pages.
 */
@Timeout(120)
abstract class RamContract {
  private static final long BASE = 0x7000_0000L;
  private static final int PAGES = 67; // no multiple of 64
  private static final int MORE_PAGES = 3;

  private final RamKind kind;
  private final Arena arena = Arena.ofShared();
  private final GuestMemory memory = GuestMemory.create();
  private final Vcpu vcpu = memory.addVcpu();
  private final DirtyClient<GuestSlot> client = memory.client("test", InitialView.NONE_DIRTY);

  private final Map<Integer, SlotModel> models = new TreeMap<>();
  private final Map<Integer, BitSet> dirty = new TreeMap<>();

  RamContract(RamKind kind) {
    this.kind = kind;
  }

  /** Two slots side by side, clean. */
  private void open(int pageSize) {
    int size = PAGES * pageSize;
    models.put(5, new SlotModel(kind.addTo(memory, arena, 5, BASE, size, pageSize)));
    models.put(
        2,
        new SlotModel(kind.addTo(memory, arena, 2, BASE + size, MORE_PAGES * pageSize, pageSize)));
    Dirty.take(client); // slots begin dirty for clients that are there
  }

  @AfterEach
  void close() {
    memory.close();
    arena.close();
  }

  private void written(SlotModel model, long address, long length) {
    Dirty.add(dirty, model.slot, address, length);
  }

  private void assertDirty(String when) {
    assertEquals(dirty, Dirty.take(client), when);
    dirty.clear();
  }

  @ParameterizedTest
  @ValueSource(ints = {256, 4096, 65_536})
  void accessors_everyOffsetAroundBorders_likeArray(int pageSize) {
    open(pageSize);
    Random random = TestRandom.of("accessors around borders, " + kind);
    for (SlotModel model : models.values()) {
      long start = model.slot.guestAddress();
      long end = start + model.slot.size();
      long[] borders = {start, start + pageSize, end - pageSize, end};
      for (Access access : Access.ALL) {
        for (long border : borders) {
          for (long address = border - 9; address <= border + 9; address++) {
            if (address >= start && address + access.width() <= end) {
              long bits = access.bits(random.nextLong());
              String what = access + " at " + (address - start) + " of " + model.slot;
              access.put().put(vcpu, address, bits);
              model.store(address, access.width(), false, bits);
              written(model, address, access.width());
              assertDirty(what);
              assertEquals(bits, access.get().get(vcpu, address), what);
              assertDirty("read of " + what);
            }
          }
        }
      }
    }
    SlotModel.assertSame(models, "at the end");
  }

  /** Stores to a page that was seen marked take a short cut: up to its last byte, no further. */
  @ParameterizedTest
  @ValueSource(ints = {256, 4096, 65_536})
  void stores_afterAStoreToAMarkedPage_markWhatTheyTouch(int pageSize) {
    open(pageSize);
    SlotModel model = model(5);
    long page = model.slot.guestAddress() + 12L * pageSize;
    for (Access access : Access.ALL) {
      for (int offset = pageSize - 9; offset <= pageSize + 9; offset++) {
        for (int times = 0; times < 3; times++) {
          vcpu.putByte(page, (byte) times); // marks; finds it marked; the short cut
          model.store(page, 1, false, times);
          written(model, page, 1);
        }
        long bits = access.bits(0x1122_3344_5566_7788L + offset);
        access.put().put(vcpu, page + offset, bits);
        model.store(page + offset, access.width(), false, bits);
        written(model, page + offset, access.width());
        assertDirty(access + " at " + offset);
        vcpu.putByte(page, (byte) 9); // no short cut now: the page is armed
        model.store(page, 1, false, 9);
        written(model, page, 1);
        assertDirty("armed, " + access + " at " + offset);
      }
    }
    model.assertSame("at the end");
  }

  /** As before, with writes of many bytes. */
  @ParameterizedTest
  @ValueSource(ints = {256, 4096})
  void bulkWrites_afterAStoreToAMarkedPage_markWhatTheyTouch(int pageSize) {
    open(pageSize);
    SlotModel model = model(5);
    long page = model.slot.guestAddress() + 12L * pageSize;
    byte[] bytes = new byte[pageSize + 2];
    for (int from : new int[] {-2, -1, 0, 1, pageSize - 2, pageSize - 1, pageSize}) {
      for (int length : new int[] {0, 1, 2, 3, pageSize - 1, pageSize, pageSize + 1}) {
        for (int way = 0; way < 4; way++) {
          String what = from + " + " + length + ", way " + way;
          vcpu.fill(page, 1, (byte) 1);
          vcpu.fill(page, 1, (byte) 2);
          vcpu.putByte(page, (byte) 3);
          model.store(page, 1, false, 3);
          written(model, page, 1);
          Arrays.fill(bytes, (byte) (from + length + way));
          long address = page + from;
          switch (way) {
            case 0 -> vcpu.write(address, bytes, 0, length);
            case 1 -> vcpu.write(address, MemorySegment.ofArray(bytes).asSlice(0, length));
            case 2 -> vcpu.fill(address, length, bytes[0]);
            default -> {
              vcpu.write(model(2).slot.guestAddress(), bytes, 0, length);
              System.arraycopy(bytes, 0, model(2).bytes, 0, length);
              written(model(2), model(2).slot.guestAddress(), length);
              vcpu.fill(page, 1, (byte) 3);
              vcpu.copy(model(2).slot.guestAddress(), address, length);
            }
          }
          System.arraycopy(bytes, 0, model.bytes, model.offset(address), length);
          written(model, address, length);
          assertDirty(what);
          vcpu.fill(page, 1, (byte) 9); // armed again
          model.store(page, 1, false, 9);
          written(model, page, 1);
          assertDirty("armed, " + what);
        }
      }
    }
    SlotModel.assertSame(models, "at the end");
  }

  @ParameterizedTest
  @ValueSource(ints = {256, 4096, 65_536})
  void accesses_randomScript_likeArray(int pageSize) {
    open(pageSize);
    Random random = TestRandom.of("random script, " + kind);
    for (int step = 0; step < 1500; step++) {
      step(random, step);
      if (random.nextInt(8) == 0) {
        assertDirty("step " + step);
      }
      if (step % 150 == 149) {
        SlotModel.assertSame(models, "step " + step);
      }
    }
    assertDirty("at the end");
  }

  private SlotModel model(int id) {
    return Objects.requireNonNull(models.get(id));
  }

  private SlotModel anySlot(Random random) {
    return model(random.nextBoolean() ? 5 : 2);
  }

  private static int anyLength(Random random, SlotModel model) {
    int pageSize = (int) model.slot.pageSize();
    return switch (random.nextInt(4)) {
      case 0 -> random.nextInt(10);
      case 1 -> pageSize * random.nextInt(3);
      default -> random.nextInt(Math.min(3 * pageSize, 20_000));
    };
  }

  private void step(Random random, int step) {
    SlotModel model = anySlot(random);
    int kindOfStep = random.nextInt(10);
    if (kindOfStep < 3) {
      Access access = Access.ALL.get(random.nextInt(Access.ALL.size()));
      long address = model.address(random, access.width());
      if (kindOfStep == 0) {
        long want = model.load(address, access.width(), false);
        if (want == access.bits(want)) {
          assertEquals(want, access.get().get(vcpu, address), () -> "step " + step + ": " + access);
        }
      } else {
        long bits = access.bits(random.nextLong());
        access.put().put(vcpu, address, bits);
        model.store(address, access.width(), false, bits);
        written(model, address, access.width());
      }
      return;
    }
    int length = anyLength(random, model);
    long address = model.address(random, length);
    if (kindOfStep == 3) {
      copy(random, model, address, length);
    } else if (kindOfStep == 4) {
      read(random, model, address, length, step);
    } else if (kindOfStep < 7) {
      byte[] bytes = new byte[length];
      random.nextBytes(bytes);
      writeByVcpu(random, address, bytes);
      System.arraycopy(bytes, 0, model.bytes, model.offset(address), length);
      written(model, address, length);
    } else {
      writeByDevice(random, model, address, length);
    }
  }

  private void copy(Random random, SlotModel to, long address, int length) {
    SlotModel from = anySlot(random);
    long source = from.address(random, length);
    if (from == to && random.nextBoolean()) { // overlapping
      source = Math.clamp(address + random.nextInt(17) - 8, to.slot.guestAddress(), address);
    }
    vcpu.copy(source, address, length);
    System.arraycopy(from.bytes, from.offset(source), to.bytes, to.offset(address), length);
    written(to, address, length);
  }

  private void read(Random random, SlotModel model, long address, int length, int step) {
    byte[] got = new byte[length + 2];
    byte[] want = new byte[length + 2];
    System.arraycopy(model.bytes, model.offset(address), want, 1, length);
    switch (random.nextInt(3)) {
      case 0 -> vcpu.read(address, got, 1, length);
      case 1 -> vcpu.read(address, MemorySegment.ofArray(got).asSlice(1, length));
      default -> memory.device().read(address, MemorySegment.ofArray(got).asSlice(1, length));
    }
    assertArrayEquals(want, got, () -> "step " + step);
  }

  private void writeByVcpu(Random random, long address, byte[] bytes) {
    switch (random.nextInt(3)) {
      case 0 -> {
        byte[] wider = new byte[bytes.length + 3];
        System.arraycopy(bytes, 0, wider, 2, bytes.length);
        vcpu.write(address, wider, 2, bytes.length);
      }
      case 1 -> {
        try (Arena confined = Arena.ofConfined()) {
          MemorySegment copy = confined.allocate(bytes.length + 1L).asSlice(0, bytes.length);
          MemorySegment.copy(MemorySegment.ofArray(bytes), 0, copy, 0, bytes.length);
          vcpu.write(address, copy);
        }
      }
      default -> {
        raw(address, bytes);
        vcpu.mark(address, bytes.length);
      }
    }
  }

  private void raw(long address, byte[] bytes) {
    for (GuestSlot slot : memory.slots()) {
      long offset = address - slot.guestAddress();
      if (offset >= 0 && offset + bytes.length <= slot.size()) {
        MemorySegment.copy(MemorySegment.ofArray(bytes), 0, slot.ram(), offset, bytes.length);
        return;
      }
    }
    throw new AssertionError("no slot");
  }

  private void writeByDevice(Random random, SlotModel model, long address, int length) {
    DeviceMemory device = memory.device();
    byte[] bytes = new byte[length];
    random.nextBytes(bytes);
    int at = model.offset(address);
    switch (random.nextInt(6)) {
      case 0 -> {
        device.write(address, MemorySegment.ofArray(bytes));
        System.arraycopy(bytes, 0, model.bytes, at, length);
      }
      case 1 -> {
        byte value = (byte) random.nextInt();
        if (random.nextBoolean()) {
          device.fill(address, length, value);
        } else {
          vcpu.fill(address, length, value);
        }
        Arrays.fill(model.bytes, at, at + length, value);
      }
      case 2 -> {
        try (AsyncWrite write = device.beginWrite(address, length)) {
          assertEquals(length, write.target().byteSize());
          MemorySegment.copy(MemorySegment.ofArray(bytes), 0, write.target(), 0, length);
        }
        System.arraycopy(bytes, 0, model.bytes, at, length);
      }
      case 3 -> {
        raw(address, bytes);
        device.mark(address, length);
        System.arraycopy(bytes, 0, model.bytes, at, length);
      }
      default -> {
        int width = 1 << (random.nextInt(3) == 0 ? 0 : 2 + random.nextInt(2));
        long narrow = model.address(random, width);
        long value = random.nextLong();
        switch (width) {
          case 1 -> device.putByte(narrow, (byte) value);
          case 4 -> device.putInt(narrow, (int) value);
          default -> device.putLong(narrow, value);
        }
        model.store(narrow, width, false, value);
        written(model, narrow, width);
        return;
      }
    }
    written(model, address, length);
  }

  @ParameterizedTest
  @ValueSource(ints = {256, 4096})
  void atomics_randomScript_likeModelOrRefused(int pageSize) {
    open(pageSize);
    Random random = TestRandom.of("atomics, " + kind);
    VcpuAtomics little = vcpu.atomics();
    VcpuAtomics big = new VcpuAtomics(vcpu, true);
    for (int step = 0; step < 3000; step++) {
      boolean bigEndian = random.nextBoolean();
      VcpuAtomics atomics = bigEndian ? big : little;
      AtomicOperation operation = AtomicOperation.any(random);
      int width = 1 << random.nextInt(4);
      SlotModel model = anySlot(random);
      long address = model.address(random, width) & -width;
      long operand = random.nextBoolean() ? random.nextLong() : random.nextInt(3) - 1;
      String what = "step " + step + ": " + operation + " of " + width;
      if (width > kind.atomicWidth) {
        assertThrows(
            UnsupportedOperationException.class,
            () -> operation.run(atomics, address, width, operand, operand),
            what);
        assertDirty(what);
        model.assertSame(what);
        continue;
      }
      long before = model.load(address, width, bigEndian);
      // Every second compare-and-exchange fails, unless the value is what it expects by chance.
      long expected = random.nextBoolean() ? before | ~(-1L >>> (64 - 8 * width)) : operand;
      assertEquals(before, operation.run(atomics, address, width, expected, operand), what);
      long low = -1L >>> (64 - 8 * width);
      if (operation.writes(before, expected & low)) {
        model.store(address, width, bigEndian, operation.result(before, operand));
        written(model, address, width);
      }
      assertDirty(what);
      assertEquals(
          model.load(address, width, bigEndian), atomics.getVolatile(address, width), what);
      if (step % 300 == 299) {
        SlotModel.assertSame(models, what);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {256, 4096})
  void accesses_acrossTheBorderOfAdjacentSlots_writeBoth(int pageSize) {
    open(pageSize);
    SlotModel right = model(2);
    long border = right.slot.guestAddress();
    SlotModel left =
        models.values().stream()
            .filter(model -> model.slot.guestAddress() + model.slot.size() == border)
            .findFirst()
            .orElseThrow();
    long bits = 0x0102_0304_0506_0708L;
    for (boolean warm : new boolean[] {false, true}) {
      for (Access access : Access.ALL) {
        for (long address = border - access.width() + 1; address < border; address++) {
          if (warm) { // the slot of the last access is remembered
            vcpu.putByte(border - 1, (byte) 0);
            left.store(border - 1, 1, false, 0);
            vcpu.getByte(border - 1);
            Dirty.take(client);
          }
          bits = bits * 31 + 7;
          access.put().put(vcpu, address, bits);
          for (int i = 0; i < access.width(); i++) {
            (address + i < border ? left : right).store(address + i, 1, false, bits >>> (8 * i));
          }
          assertEquals(
              Map.of(
                  left.slot.id(), page((int) left.slot.pageCount() - 1),
                  right.slot.id(), page(0)),
              Dirty.take(client));
          assertEquals(access.bits(bits), access.get().get(vcpu, address));
        }
        vcpu.offline(); // forgets the slot
      }
    }
    SlotModel.assertSame(models, "writes over the border");
  }

  private static BitSet page(int page) {
    BitSet pages = new BitSet();
    pages.set(page);
    return pages;
  }
}
