/*
 * Marks of devices, which have no safepoints, against the drain of a collector; and two looks after the
 * mark: whether the log was sealed, and whether the slot was retired.
 *
 * Classes: HostBitmap, HostWriter, Seal, Slot. Two devices write a word of RAM each and mark. One
 * collector drains, copies what it found, and drains a last time. With SEALED the last drain comes
 * while devices run, after the flag was set: then each mark is in it, or its device reports itself. The
 * flag stands for Seal.sealed (L1) and for Slot.state (T2), whose protocol is the same; DeviceLog.closed
 * (M1) and AddressSpace.sealing (G2) are looked at in the same way.
 *
 * Bounds: two devices, one write each, DRAINS drains and a last one. Both pages are in one word of the
 * bitmap (BLOCKS=1), in two words of one block (BLOCKS=0) or in two blocks of one word of the summary (BLOCKS=2).
 * With LAZY the first mark makes the bitmap (LazyHostMarks), and each bitmap that may be made has words of
 * its own. Left out: marks that an error cuts short (H2), and every page marked for want of memory (H3).
 *
 * RUN pass 0
 * RUN pass 1
 * RUN pass 2
 * RUN pass 2 -DBLOCKS=0
 * RUN pass 2 -DBLOCKS=2
 * RUN pass 1 -DSEALED
 * RUN pass 2 -DSEALED
 * RUN pass 2 -DLAZY
 * RUN fail WEAK_B7 0
 * RUN fail WEAK_B8 2 -DBLOCKS=0
 * RUN fail WEAK_B9 0
 * RUN fail WEAK_B10 0
 * RUN fail OPAQUE_B10 2 -DBLOCKS=0
 * RUN fail WEAK_L1 2 -DSEALED
 * RUN fail WEAK_T2 0 -DSEALED
 * RUN fail WEAK_H1 0 -DLAZY
 * RUN full 2 -DBLOCKS=2 -DDRAINS=2
 */
#ifndef BLOCKS
#define BLOCKS 1
#endif
#ifndef DRAINS
#define DRAINS 1
#endif

#define NT 3
#define C 2 /* thread: collector */
/* thread 0: device 0; thread 1: device 1 */

#define RAM 0 /* and 1 */
#define WORDS 2 /* and 3 */
#define SUMMARY 4
#define SEAL 5
#define BITMAP 6 /* LazyHostMarks.bitmap: 0, or 1 or 2 for the one that a device has made */
#define SUMMARY_1 7
#ifdef LAZY
#define NV 8
#else
#define NV 6
#endif

#ifdef LAZY
#define WORD_OF(device) (WORDS + made - 1)
#define BIT_OF(device) (1 << (device))
#define BLOCK_OF(device) 1
#define SUMMARY_OF (SUMMARY + (made == 2) * (SUMMARY_1 - SUMMARY))
#elif BLOCKS == 0
#define WORD_OF(device) (WORDS + (device))
#define BIT_OF(device) 1
#define BLOCK_OF(device) 1
#elif BLOCKS == 1
#define WORD_OF(device) WORDS
#define BIT_OF(device) (1 << (device))
#define BLOCK_OF(device) 1
#else
#define WORD_OF(device) (WORDS + (device))
#define BIT_OF(device) 1
#define BLOCK_OF(device) (1 << (device))
#endif

#ifndef LAZY
#define SUMMARY_OF SUMMARY
#endif

#include "memory.pml"

byte ended;
byte copied[2];
bit reported[2];

inline look_at_summary(me) {
#ifdef WEAK_B8
  load(me, SUMMARY_OF, sum, OPAQUE);
#else
  load(me, SUMMARY_OF, sum, VOLATILE); /* B8 */
#endif
}

inline look_at_seal(me) {
#ifdef WEAK_L1
  load(me, SEAL, sealed, OPAQUE)
#else
  load(me, SEAL, sealed, VOLATILE) /* L1, T2 */
#endif
}

/* LazyHostMarks.mark. */
inline make_bitmap(me) {
  load(me, BITMAP, made, VOLATILE);
  if
  :: made -> skip
  :: else ->
#ifdef WEAK_H1
    store(me, BITMAP, me + 1, VOLATILE);
    made = me + 1
#else
    rmw(me, BITMAP, made, made + (made == 0) * (me + 1), VOLATILE); /* H1: a compare-and-exchange */
    if :: made == 0 -> made = me + 1 :: else fi
#endif
  fi
}

proctype Device(byte me) {
  byte x, sum, sealed;
#ifdef LAZY
  byte made;
#endif
  store(me, RAM + me, 1, OPAQUE);
#ifdef LAZY
  make_bitmap(me);
#endif
#ifdef WEAK_T2
  look_at_seal(me);
#endif
  /* HostBitmap.markAlways */
#ifdef WEAK_B7
  look_at_summary(me);
#endif
  rmw(me, WORD_OF(me), x, x | BIT_OF(me), VOLATILE); /* B7 */
#ifndef WEAK_B7
  look_at_summary(me);
#endif
  if
  :: (sum & BLOCK_OF(me)) -> skip
  :: else -> rmw(me, SUMMARY_OF, x, x | BLOCK_OF(me), VOLATILE)
  fi;
#ifdef SEALED
#ifndef WEAK_T2
  look_at_seal(me); /* HostWriter.mark: after the mark */
#endif
  if
  :: sealed -> say(me, "reports a late write"); reported[me] = 1
  :: else
  fi;
#endif
  d_step { EMPTY(me) -> ended++; x = 0; sum = 0; sealed = 0 }
}

/* HostBitmap.drainBlock. */
inline drain_word(word, to) {
#ifdef OPAQUE_B10
  load(C, word, x, OPAQUE);
#else
  load(C, word, x, VOLATILE); /* B10 */
#endif
  if
  :: x == 0 -> skip
  :: else ->
#ifdef WEAK_B10
    load(C, word, to, VOLATILE);
    store(C, word, 0, VOLATILE);
    full_fence(C)
#else
    rmw(C, word, to, 0, VOLATILE) /* B10 */
#endif
  fi;
  x = 0
}

inline drain_bitmap() {
#ifdef WEAK_B9
  load(C, SUMMARY_OF, sum, VOLATILE);
#else
  load(C, SUMMARY_OF, sum, VOLATILE);
  if :: sum -> rmw(C, SUMMARY_OF, sum, 0, VOLATILE) :: else fi; /* B9 */
#endif
  if :: (sum & 1) -> drain_word(WORD_OF(0), found) :: else fi;
#if BLOCKS == 0 && !defined(LAZY)
  if :: (sum & 1) -> drain_word(WORDS + 1, found_1) :: else fi;
#elif BLOCKS == 2
  if :: (sum & 2) -> drain_word(WORDS + 1, found_1) :: else fi;
#endif
#ifdef WEAK_B9
  if :: sum -> rmw(C, SUMMARY_OF, sum, 0, VOLATILE) :: else fi;
#endif
  say(C, "reads the pages that it found");
  if :: (found & BIT_OF(0)) -> load(C, RAM, copied[0], OPAQUE) :: else fi;
#if BLOCKS != 1 && !defined(LAZY)
  if :: found_1 -> load(C, RAM + 1, copied[1], OPAQUE) :: else fi;
#else
  if :: (found & BIT_OF(1)) -> load(C, RAM + 1, copied[1], OPAQUE) :: else fi;
#endif
  d_step { found = 0; found_1 = 0; sum = 0 }
}

inline drain() {
  say(C, "drain");
#ifdef LAZY
  load(C, BITMAP, made, VOLATILE); /* H1 */
  if :: made -> drain_bitmap() :: else fi
#else
  drain_bitmap()
#endif
}

proctype Collector() {
  byte x, sum, found, found_1, n;
#ifdef LAZY
  byte made;
#endif
  do
  :: n < DRAINS -> n++; drain()
  :: else -> break
  od;
#ifdef SEALED
  store(C, SEAL, 1, VOLATILE); /* L1, T2 */
  drain();
  ended == 2;
#else
  ended == 2;
  full_fence(C);
  drain();
#endif
  assert(copied[0] == mem[RAM] || reported[0]);
  assert(copied[1] == mem[RAM + 1] || reported[1])
}

init {
  atomic {
    run Device(0);
    run Device(1);
    run Collector()
  }
}
