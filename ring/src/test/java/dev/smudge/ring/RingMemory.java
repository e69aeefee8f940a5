package dev.smudge.ring;

/** The kinds of memory that a ring can be in: the tests run over each. */
enum RingMemory {
  HEAP {
    @Override
    DirtyRing ring(int entries, int reserve) {
      return DirtyRing.allocate(entries, reserve);
    }
  },
  DIRECT {
    @Override
    DirtyRing ring(int entries, int reserve) {
      return DirtyRing.over(new RawRing(entries).buffer, reserve);
    }
  };

  abstract DirtyRing ring(int entries, int reserve);
}
