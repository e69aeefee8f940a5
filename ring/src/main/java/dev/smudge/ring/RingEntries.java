package dev.smudge.ring;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The words of a ring: nothing else touches them. A header is an entry's flags in the low 32 bits,
 * and its slot in the high ones.
 *
 * <p>An entry goes round: free, dirty (the producer's store), harvested (the harvester's), free
 * again (the resetter's). Each of the three owns it in its turn, and only the owner writes it; so
 * no store to an entry is atomic with another, and each hand-over is one release and one acquire.
 */
abstract sealed class RingEntries {
  /**
   * Fills a free entry.
   *
   * @param entry its number, 0 to size - 1
   */
  abstract void publish(int entry, int slotId, long pageIndex);

  abstract long headerAcquire(int entry);

  /** The page of an entry whose header was read with acquire, and is not free. */
  abstract long page(int entry);

  abstract void harvested(int entry, long header);

  abstract void free(int entry);

  static int flags(long header) {
    return (int) header;
  }

  static int slotId(long header) {
    return (int) (header >>> 32);
  }

  /** On the heap, two longs an entry: the fastest. */
  static final class OnHeap extends RingEntries {
    private static final VarHandle WORDS = MethodHandles.arrayElementVarHandle(long[].class);
    private static final int PAD = 16; // longs: a neighbour in the heap shares no line

    private final long[] words;

    OnHeap(int entries) {
      words = new long[2 * entries + 2 * PAD];
    }

    @Override
    void publish(int entry, int slotId, long pageIndex) {
      int at = 2 * entry + PAD;
      words[at + 1] = pageIndex;
      // ORDER R1 release: slot and page before flags=DIRTY; the slot is in the same word. Pairs
      // with the acquire in headerAcquire, by the harvester. If weaker: it reads the page of the
      // round before, and this one is lost.
      WORDS.setRelease(words, at, (long) slotId << 32 | RingLayout.DIRTY);
    }

    @Override
    long headerAcquire(int entry) {
      // R1 (harvester), R2 (resetter) acquire.
      return (long) WORDS.getAcquire(words, 2 * entry + PAD);
    }

    @Override
    long page(int entry) {
      return words[2 * entry + PAD + 1];
    }

    @Override
    void harvested(int entry, long header) {
      // ORDER R2 release: what the producer stored, seen by the harvester, and the harvester's
      // loads of it come before flags=RESET. Pairs with the acquire in headerAcquire, by the
      // resetter. If weaker: it re-arms the page of the round before, and this one stays unarmed
      // for ever; or gives the entry back while the harvester still reads it (Linux 8929bc965964).
      WORDS.setRelease(words, 2 * entry + PAD, (header >>> 32 << 32) | RingLayout.RESET);
    }

    @Override
    void free(int entry) {
      // ORDER R3 opaque: whole, and no more: R4 brings it to the producer, and the harvester and
      // the resetter, who look at it before the producer's next store, take both RESET and free for
      // 'not mine'. If weaker (plain): nothing on 64-bit machines; torn on others.
      WORDS.setOpaque(words, 2 * entry + PAD, 0L);
    }
  }

  /** In a direct buffer, in the byte order of the machine, as the kernel has it. */
  static final class InBuffer extends RingEntries {
    private static final VarHandle INTS =
        MethodHandles.byteBufferViewVarHandle(int[].class, ByteOrder.nativeOrder());
    private static final VarHandle LONGS =
        MethodHandles.byteBufferViewVarHandle(long[].class, ByteOrder.nativeOrder());

    private final ByteBuffer buffer;

    InBuffer(ByteBuffer buffer) {
      this.buffer = buffer;
    }

    private static int at(int entry) {
      return entry * RingLayout.ENTRY_SIZE;
    }

    @Override
    void publish(int entry, int slotId, long pageIndex) {
      int at = at(entry);
      INTS.set(buffer, at + RingLayout.SLOT_OFFSET, slotId);
      LONGS.set(buffer, at + RingLayout.PAGE_OFFSET, pageIndex);
      // R1 release, as on the heap, with the slot in a word of its own.
      INTS.setRelease(buffer, at, RingLayout.DIRTY);
    }

    @Override
    long headerAcquire(int entry) {
      int at = at(entry);
      // R1, R2 acquire: the flags, then the slot. External partners, in a ring of the kernel's:
      // kvm_dirty_gfn_set_dirtied (smp_store_release with KVM_CAP_DIRTY_LOG_RING_ACQ_REL, smp_wmb
      // before a plain store on x86) and kvm_dirty_gfn_set_invalid.
      int flags = (int) INTS.getAcquire(buffer, at);
      int slotId = (int) INTS.get(buffer, at + RingLayout.SLOT_OFFSET);
      return (long) slotId << 32 | Integer.toUnsignedLong(flags);
    }

    @Override
    long page(int entry) {
      return (long) LONGS.get(buffer, at(entry) + RingLayout.PAGE_OFFSET);
    }

    @Override
    void harvested(int entry, long header) {
      // R2 release. External partner: the smp_load_acquire in kvm_dirty_gfn_harvested.
      INTS.setRelease(buffer, at(entry), RingLayout.RESET);
    }

    @Override
    void free(int entry) {
      // R3 opaque.
      INTS.setOpaque(buffer, at(entry), 0);
    }
  }
}
