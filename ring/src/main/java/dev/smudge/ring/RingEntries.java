package dev.smudge.ring;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The words of a ring: nothing else touches them.
 *
 * <p>An entry goes round: free, dirty (the producer's store), harvested (the harvester's), free
 * again (the resetter's). Each of the three owns it in its turn, and only the owner writes it; so
 * no store has to be atomic with another, and each hand-over is one release and one acquire.
 *
 * <p>Entries are numbered since the ring was made; the place of one is its number modulo the size.
 * The loops stand here, with what they use in local variables: after an acquire, fields are loaded
 * again. They go over entries in a row only ({@link #inRow}), so that the compiler takes the bounds
 * checks out of them.
 */
abstract sealed class RingEntries {
  private static final int WORD_SHIFT = 6;

  final int mask;

  RingEntries(int size) {
    this.mask = size - 1;
  }

  /** Fills a free entry. */
  abstract void publish(long entry, int slotId, long pageIndex);

  /** The flags of an entry; what stands in it is visible. */
  abstract int flagsAcquire(long entry);

  /** How many entries stand in a row from this one on, before the ring's end; at most so many. */
  final int inRow(long first, int most) {
    return Math.min(most, mask + 1 - ((int) first & mask));
  }

  /**
   * Copies dirty entries of a row into pages, from {@code into.to} on, and flags them; returns how
   * many. Whether it returns or is cut short by an error, {@code into.to} says how many were
   * flagged: an entry that is flagged and counts as not harvested would stop the ring, and its page
   * would be armed without anybody knowing of it.
   */
  abstract int harvest(long first, int most, HarvestedPages into);

  /** Arms the pages of harvested entries of a row; returns how many entries. */
  abstract int arm(long first, int most, RingArmer armer);

  /** Frees entries of a row. */
  abstract void free(long first, int count);

  /**
   * On the heap, two longs an entry: the fastest. The first has the flags in its low half, and the
   * slot in its high one.
   */
  static final class OnHeap extends RingEntries {
    private static final VarHandle WORDS = MethodHandles.arrayElementVarHandle(long[].class);
    private static final int PAD = 16; // longs: a neighbour in the heap shares no line

    private final long[] words;

    OnHeap(int size) {
      super(size);
      words = new long[2 * size + 2 * PAD];
    }

    private static int at(long entry, int mask) {
      return 2 * ((int) entry & mask) + PAD;
    }

    @Override
    void publish(long entry, int slotId, long pageIndex) {
      int at = at(entry, mask);
      words[at + 1] = pageIndex;
      // ORDER R1 release: slot and page before flags=DIRTY; the slot is in the same word. Pairs
      // with the acquire in harvest. If weaker: it reads the page of the round before, and this one
      // is lost.
      WORDS.setRelease(words, at, (long) slotId << 32 | RingLayout.DIRTY);
    }

    @Override
    int flagsAcquire(long entry) {
      // R1, R2 acquire.
      return (int) (long) WORDS.getAcquire(words, at(entry, mask));
    }

    @Override
    int harvest(long first, int most, HarvestedPages into) {
      long[] ring = words;
      int[] slotIds = into.slotIds;
      long[] pages = into.pages;
      int to = into.to;
      int begin = at(first, mask);
      int i = 0;
      try {
        for (; i < most; i++) {
          int at = begin + 2 * i;
          // R1 acquire.
          long header = (long) WORDS.getAcquire(ring, at);
          if (!RingLayout.isDirty((int) header)) {
            break;
          }
          slotIds[to + i] = (int) (header >>> 32);
          pages[to + i] = ring[at + 1];
          // ORDER R2 release: what the producer stored, and the loads of it here, come before
          // flags=RESET. Pairs with the acquire in arm. If weaker: the resetter re-arms the page of
          // the round before, and this one stays unarmed for ever; or it gives the entry back while
          // it is still being read here (Linux 8929bc965964).
          WORDS.setRelease(ring, at, (header & ~0xffff_ffffL) | RingLayout.RESET);
        }
      } finally {
        into.to = to + i;
      }
      return i;
    }

    @Override
    int arm(long first, int most, RingArmer armer) {
      long[] ring = words;
      int begin = at(first, mask);
      int i = 0;
      while (i < most) {
        // R2 acquire.
        long header = (long) WORDS.getAcquire(ring, begin + 2 * i);
        if (!RingLayout.isHarvested((int) header)) {
          break;
        }
        long page = ring[begin + 2 * i + 1];
        long word = page >>> WORD_SHIFT;
        long bits = 1L << page;
        // R2 acquire.
        for (i++; i < most && (long) WORDS.getAcquire(ring, begin + 2 * i) == header; i++) {
          page = ring[begin + 2 * i + 1];
          if (page >>> WORD_SHIFT != word) {
            break;
          }
          bits |= 1L << page;
        }
        armer.arm((int) (header >>> 32), word, bits);
      }
      return i;
    }

    @Override
    void free(long first, int count) {
      long[] ring = words;
      int begin = at(first, mask);
      for (int i = 0; i < count; i++) {
        // ORDER R3 opaque: whole, and no more. R4 brings it to the producer; the harvester and the
        // resetter, who may look at the entry before its next round, take RESET and free alike for
        // 'not mine'. If weaker (plain): nothing on 64-bit machines, torn on others.
        WORDS.setOpaque(ring, begin + 2 * i, 0L);
      }
    }
  }

  /**
   * In a direct buffer, in the byte order of the machine, as the kernel has it.
   *
   * <p>A VarHandle of a buffer looks at each access whether that is direct, and loads all its
   * fields again. So the loops use the buffer's own methods, and a fence for the lot of them. These
   * load and store an int at a multiple of 4 whole: as opaque, though the buffer's class does not
   * say so; no load or store goes past the fences, nor out of a caller's loop.
   */
  static final class InBuffer extends RingEntries {
    private static final VarHandle INTS =
        MethodHandles.byteBufferViewVarHandle(int[].class, ByteOrder.nativeOrder());
    private static final VarHandle LONGS =
        MethodHandles.byteBufferViewVarHandle(long[].class, ByteOrder.nativeOrder());

    private final ByteBuffer buffer;

    InBuffer(ByteBuffer buffer, int size) {
      super(size);
      this.buffer = buffer.order(ByteOrder.nativeOrder());
    }

    private static int at(long entry, int mask) {
      return ((int) entry & mask) * RingLayout.ENTRY_SIZE;
    }

    @Override
    void publish(long entry, int slotId, long pageIndex) {
      int at = at(entry, mask);
      INTS.set(buffer, at + RingLayout.SLOT_OFFSET, slotId);
      LONGS.set(buffer, at + RingLayout.PAGE_OFFSET, pageIndex);
      // R1 release, as on the heap; the slot has a word of its own.
      INTS.setRelease(buffer, at, RingLayout.DIRTY);
    }

    @Override
    int flagsAcquire(long entry) {
      // R1, R2 acquire. The external partners in a ring of the kernel's: kvm_dirty_gfn_set_dirtied,
      // which stores with release where KVM_CAP_DIRTY_LOG_RING_ACQ_REL is needed, and
      // kvm_dirty_gfn_set_invalid.
      return (int) INTS.getAcquire(buffer, at(entry, mask));
    }

    @Override
    int harvest(long first, int most, HarvestedPages into) {
      ByteBuffer ring = buffer;
      int to = into.to;
      int begin = at(first, mask);
      int count = 0;
      while (count < most
          && RingLayout.isDirty(ring.getInt(begin + count * RingLayout.ENTRY_SIZE))) {
        count++;
      }
      // R1 acquire, as in flagsAcquire.
      VarHandle.acquireFence();
      for (int i = 0; i < count; i++) {
        int at = begin + i * RingLayout.ENTRY_SIZE;
        into.slotIds[to + i] = ring.getInt(at + RingLayout.SLOT_OFFSET);
        into.pages[to + i] = ring.getLong(at + RingLayout.PAGE_OFFSET);
      }
      // R2 release, as on the heap. External partner: the acquire in kvm_dirty_gfn_harvested.
      VarHandle.releaseFence();
      int flagged = 0;
      try {
        for (; flagged < count; flagged++) {
          ring.putInt(begin + flagged * RingLayout.ENTRY_SIZE, RingLayout.RESET);
        }
      } finally {
        into.to = to + flagged;
      }
      return count;
    }

    @Override
    int arm(long first, int most, RingArmer armer) {
      ByteBuffer ring = buffer;
      int begin = at(first, mask);
      int count = 0;
      while (count < most
          && RingLayout.isHarvested(ring.getInt(begin + count * RingLayout.ENTRY_SIZE))) {
        count++;
      }
      // R2 acquire.
      VarHandle.acquireFence();
      int i = 0;
      while (i < count) {
        int at = begin + i * RingLayout.ENTRY_SIZE;
        int slotId = ring.getInt(at + RingLayout.SLOT_OFFSET);
        long page = ring.getLong(at + RingLayout.PAGE_OFFSET);
        long word = page >>> WORD_SHIFT;
        long bits = 1L << page;
        for (i++; i < count; i++) {
          at = begin + i * RingLayout.ENTRY_SIZE;
          page = ring.getLong(at + RingLayout.PAGE_OFFSET);
          if (page >>> WORD_SHIFT != word || ring.getInt(at + RingLayout.SLOT_OFFSET) != slotId) {
            break;
          }
          bits |= 1L << page;
        }
        armer.arm(slotId, word, bits);
      }
      return count;
    }

    @Override
    void free(long first, int count) {
      ByteBuffer ring = buffer;
      int begin = at(first, mask);
      for (int i = 0; i < count; i++) {
        // R3 opaque.
        ring.putInt(begin + i * RingLayout.ENTRY_SIZE, 0);
      }
    }
  }
}
