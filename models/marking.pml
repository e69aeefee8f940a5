/*
 * Marking with a summary and suspects, against fetch and clear, and the after-sync barrier.
 *
 * Classes: LiveBitmap, ArmableBitmap, BitmapTracker, FetchedBits, Takes, Handshake, VcpuState. Two vCPUs
 * write, each a word of RAM of its own, and mark the page that it is in. One collector takes, twice at
 * most while they run and once after they have ended. At the end the client's copy has to equal RAM:
 * otherwise a write was lost. After each take it has to have every write that was followed by an
 * acknowledgement before the fetch began. A wait that never ends is an invalid end state.
 *
 * LAYOUT says where the words of RAM are: 0, in one page, so that one vCPU relies on the mark of the
 * other; 1, in two pages of one word of the bitmap; 2, in two blocks of one word of the summary.
 *
 * With DIES, a vCPU's thread may end in the middle of a mark.
 *
 * Bounds: two vCPUs with WRITES_0 and WRITES_1 stores, TAKES takes and a last one. The collector either
 * moves bits in one pass (LiveBitmap.moveInto) or fetches and clears later (fetch, clearWord). Left out:
 * vCPUs that come online (barrier.pml), several clients (manual.pml), devices (host.pml), slots
 * (swap.pml). The collector lock is not needed, since there is one collector.
 *
 * RUN pass 0 -DLAYOUT=0
 * RUN pass 1 -DLAYOUT=0
 * RUN pass 2 -DLAYOUT=0
 * RUN pass 2 -DLAYOUT=1 -DWRITES_0=1
 * RUN pass 2 -DLAYOUT=2 -DWRITES_0=1
 * RUN pass 2 -DLAYOUT=0 -DDIES -DTAKES=1 -DWRITES_0=1 -DWRITES_1=2
 * RUN fail BUG_5 0 -DLAYOUT=0
 * RUN fail BUG_6 1 -DLAYOUT=0
 * RUN fail NO_SUSPECTS 0 -DLAYOUT=0
 * RUN fail WEAK_B1 0 -DLAYOUT=0
 * RUN fail WEAK_B2 0 -DLAYOUT=1 -DTAKES=3 -DWRITES_0=3
 * RUN fail WEAK_B3 0 -DLAYOUT=2
 * RUN fail WEAK_B4 2 -DLAYOUT=0 -DDIES -DTAKES=1 -DWRITES_0=1 -DWRITES_1=2
 * RUN fail WEAK_B5 0 -DLAYOUT=2
 * RUN same WEAK_B6 2 -DLAYOUT=0 -DWRITES_0=1
 * RUN fail WEAK_B11 0 -DLAYOUT=1
 * RUN fail WEAK_B14 0 -DLAYOUT=1
 * RUN fail WEAK_S1 2 -DLAYOUT=0 -DTAKES=1
 * RUN fail WEAK_S2 2 -DLAYOUT=0 -DTAKES=1
 * RUN same OPAQUE_S2 2 -DLAYOUT=0 -DTAKES=1
 * RUN same WEAK_S9 2 -DLAYOUT=0 -DWRITES_0=1
 * RUN full 2 -DLAYOUT=0 -DDIES
 * RUN full 2 -DLAYOUT=1
 * RUN full 2 -DLAYOUT=2
 * RUN full 2 -DLAYOUT=0 -DTAKES=3
 * RUN full 2 -DLAYOUT=1 -DTAKES=3
 * RUN full 2 -DLAYOUT=2 -DTAKES=3
 */
#ifndef LAYOUT
#define LAYOUT 0
#endif
#ifndef WRITES_0
#define WRITES_0 2
#endif
#ifndef WRITES_1
#define WRITES_1 1
#endif
#ifndef TAKES
#define TAKES 2
#endif

#define NT 3
#define C 2 /* thread: collector */
/* thread 0: vCPU 0; thread 1: vCPU 1 */

#define RAM 0 /* and 1: one per vCPU */
#define LIVE 2 /* and 3: words of the live bitmap */
#define SUMMARY 4
#define REQUESTED 5
#define FLAG 6 /* and 7: VcpuState.pending */
#define ACKNOWLEDGED 8 /* and 9 */
#define OFFLINE 10 /* and 11 */
#define NV 12

#define EARLY_LOAD(t, v) ((t) < C && ((v) == SUMMARY || ((v) >= LIVE && (v) < SUMMARY)))

#if LAYOUT == 0
#define WORD_OF(vcpu) LIVE
#define BIT_OF(vcpu) 1
#define BLOCK_OF(vcpu) 1
#elif LAYOUT == 1
#define WORD_OF(vcpu) LIVE
#define BIT_OF(vcpu) (1 << (vcpu))
#define BLOCK_OF(vcpu) 1
#else
#define WORD_OF(vcpu) (LIVE + (vcpu))
#define BIT_OF(vcpu) 1
#define BLOCK_OF(vcpu) (1 << (vcpu))
#endif

#include "memory.pml"

byte ended; /* vCPUs */
byte passed[2]; /* each vCPU's writes from before its last acknowledgement */
byte copied[2]; /* the client's copy of each word of RAM */

/* With DIES, the thread of vCPU 0 may end in the middle of a mark, before its store. */
inline die_perhaps(me) {
#ifdef DIES
  if
  :: me == 0 -> say(me, "its thread ends"); goto dead
  :: skip
  fi
#else
  skip
#endif
}

/* LiveBitmap.markRange and markClearBits. */
inline mark(me) {
#ifdef WEAK_B1
  if :: looked -> skip :: else -> load(me, WORD_OF(me), hoisted, OPAQUE); looked = true fi;
  live = hoisted;
#else
  load(me, WORD_OF(me), live, OPAQUE); /* B1 */
#endif
  if
  :: (live & BIT_OF(me)) -> say(me, "the page is marked already")
  :: else ->
#ifdef WEAK_B2
    if :: looked_2 -> skip :: else -> load(me, SUMMARY, sum, OPAQUE); looked_2 = true fi;
#else
    load(me, SUMMARY, sum, OPAQUE); /* B2 */
#endif
#ifdef WEAK_B4
    if
    :: MACHINE == 2 -> rmw(me, WORD_OF(me), live, live | BIT_OF(me), OPAQUE); die_perhaps(me)
    :: skip
    fi;
#endif
    if
    :: (sum & BLOCK_OF(me)) -> skip
    :: else ->
#ifdef WEAK_B3
      load(me, SUMMARY, x, OPAQUE);
      store(me, SUMMARY, x | BLOCK_OF(me), OPAQUE)
#else
      rmw(me, SUMMARY, x, x | BLOCK_OF(me), VOLATILE) /* B3 */
#endif
    fi;
    die_perhaps(me);
    rmw(me, WORD_OF(me), live, live | BIT_OF(me), RELEASE) /* B4 */
  fi;
  live = 0;
  x = 0
}

/* VcpuState.safepoint and acknowledge. */
inline safepoint(me) {
  load(me, FLAG + me, x, ACQUIRE); /* S2: isAsked */
  if
  :: x == 0 -> skip
  :: else ->
#ifdef WEAK_S2
    rmw(me, FLAG + me, x, 0, OPAQUE); /* else its order is enough */
#else
    rmw(me, FLAG + me, x, 0, VOLATILE); /* takePending */
#endif
    load(me, REQUESTED, x, VOLATILE); /* S1, S9 */
    acquire_fence(me);
    say1(me, "acknowledges request", x);
#if defined(WEAK_S2) || defined(OPAQUE_S2)
    store(me, ACKNOWLEDGED + me, x, OPAQUE);
#else
    store(me, ACKNOWLEDGED + me, x, RELEASE); /* S2 */
#endif
    passed[me] = n
  fi;
  x = 0
}

proctype Vcpu(byte me; byte writes) {
  byte x, live, sum, n;
#ifdef WEAK_B1
  bit looked;
  byte hoisted;
#endif
#ifdef WEAK_B2
  bit looked_2;
#endif
  do
  :: n < writes ->
    n++;
    if
#ifdef DIES
    :: me == 1 -> store(me, RAM + me, n, OPAQUE);
#else
    :: store(me, RAM + me, n, OPAQUE);
#endif
      mark(me)
#ifndef BUG_6
    :: mark(me); /* as the accessors of core do */
      store(me, RAM + me, n, OPAQUE)
#endif
    fi;
    safepoint(me)
  :: else -> break
  od;
  acquire_fence(me);
  say(me, "goes offline");
  store(me, OFFLINE + me, 1, RELEASE); /* S4 */
#ifdef DIES
dead:
  skip;
#endif
  d_step { EMPTY(me) -> mem[OFFLINE + me] = 1; ended++; x = 0; live = 0; sum = 0; n = 0 }
}

/* Collector: what it has found in a word of the bitmap goes into the view, and then is cleared. */
inline clear_word(word, bits, moves) {
#if defined(WEAK_B11) || defined(WEAK_B14)
  if
#ifdef WEAK_B11
  :: !moves ->
#else
  :: moves ->
#endif
    load(C, word, x, OPAQUE);
    store(C, word, x & ~(bits), OPAQUE);
    full_fence(C)
  :: else -> rmw(C, word, x, x & ~(bits), VOLATILE)
  fi
#else
  rmw(C, word, x, x & ~(bits), VOLATILE) /* B11; where the pass moves, B14 */
#endif
}

inline read_word(word, to) {
#ifdef WEAK_B6
  load(C, word, to, OPAQUE)
#else
  load(C, word, to, ACQUIRE) /* B6 */
#endif
}

inline find_blocks(blocks) {
  if
  :: (blocks & 1) -> read_word(LIVE, found)
  :: else
  fi;
#if LAYOUT == 2
  if
  :: (blocks & 2) -> read_word(LIVE + 1, found_1)
  :: else
  fi
#endif
}

inline clear_found(moves) {
  if :: found -> clear_word(LIVE, found, moves) :: else fi;
#if LAYOUT == 2
  if :: found_1 -> clear_word(LIVE + 1, found_1, moves) :: else fi
#endif
}

/* BitmapTracker.beginFetch, LiveBitmap.fetch, endFetch; and FetchedBits.collect. */
inline fetch(moves) {
  d_step {
    due[0] = (EMPTY(0) -> passed[0] : 0);
    due[1] = (EMPTY(1) -> passed[1] : 0)
  }
  say(C, "fetch");
  quiesced = completed > last_fetch;
  load(C, SUMMARY, fresh, OPAQUE);
  if
  :: fresh ->
#ifdef WEAK_B5
    load(C, SUMMARY, fresh, OPAQUE);
    store(C, SUMMARY, 0, OPAQUE);
    full_fence(C)
#else
    rmw(C, SUMMARY, fresh, 0, VOLATILE) /* B5 */
#endif
  :: else
  fi;
#ifdef NO_SUSPECTS
  suspects = 0;
#endif
  find_blocks(fresh | suspects);
  if :: moves -> say(C, "clears what it has read"); clear_found(true) :: else fi;
  suspects = (quiesced -> fresh : suspects | fresh);
  fresh = 0;
#ifdef WEAK_S9
  load(C, REQUESTED, last_fetch, VOLATILE)
#else
  rmw(C, REQUESTED, last_fetch, last_fetch, VOLATILE) /* S9: requestedAtEndOfFetch */
#endif
}

inline request() {
  rmw(C, REQUESTED, number, number + 1, VOLATILE); /* S1: Handshake.request */
  number++;
  rmw(C, FLAG, x, 1, VOLATILE); /* S2: VcpuState.request */
  rmw(C, FLAG + 1, x, 1, VOLATILE)
}

/* Takes.take: fetch, clear, barrier; then the client reads the pages of its batch. */
inline take() {
#ifdef WEAK_S1
  if :: MACHINE == 2 -> request() :: skip fi;
#endif
  if
  :: !all -> fetch(true)
  :: fetch(false);
    if
    :: all -> /* pages that count as told: Takes.clear */
      found = BIT_OF(0) | BIT_OF(1);
#if LAYOUT == 2
      found_1 = 1
#endif
    :: else
    fi;
    say(C, "clears what was told");
    clear_found(false)
  fi;
#if !defined(BUG_5) && !defined(BUG_6)
#ifdef WEAK_S1
  if :: number == 0 -> request() :: else fi;
#else
  request();
#endif
  await(C, mem[ACKNOWLEDGED] >= number || mem[OFFLINE] == 1);
  await(C, mem[ACKNOWLEDGED + 1] >= number || mem[OFFLINE + 1] == 1);
  completed = number;
#endif
  read_pages()
}

inline read_pages() {
  say(C, "reads the pages of its batch");
  if :: all || (found & BIT_OF(0)) -> load(C, RAM, copied[0], OPAQUE) :: else fi;
#if LAYOUT == 2
  if :: all || found_1 -> load(C, RAM + 1, copied[1], OPAQUE) :: else fi;
#else
  if :: all || (found & BIT_OF(1)) -> load(C, RAM + 1, copied[1], OPAQUE) :: else fi;
#endif
  d_step {
    /* Every mark whose vCPU had acknowledged before the fetch was found by it, or earlier. */
    assert(copied[0] >= due[0] && copied[1] >= due[1]);
    due[0] = 0;
    due[1] = 0
  }
  all = false;
  found = 0;
  found_1 = 0;
  number = 0;
  x = 0
}

proctype Collector() {
  byte x, fresh, suspects, found, found_1, number, completed, last_fetch, takes;
  byte due[2];
  bit quiesced;
  bit all; /* every page is dirty for the client at first */
  all = 1;
  do
  :: takes < TAKES -> takes++; take()
  :: else -> break
  od;
  ended == 2;
  say(C, "both vCPUs have ended: the last take");
  full_fence(C);
  fetch(false);
  read_pages();
  printf("T%d| # RAM is %d %d, the client's copy %d %d\n", C, mem[RAM], mem[RAM + 1], copied[0], copied[1]);
  assert(copied[0] == mem[RAM] && copied[1] == mem[RAM + 1])
}

init {
  atomic {
    /* No page is armed: all bits are set, and count as told. */
    mem[LIVE] = BIT_OF(0) | BIT_OF(1);
#if LAYOUT == 2
    mem[LIVE + 1] = 1;
#endif
    run Vcpu(0, WRITES_0);
    run Vcpu(1, WRITES_1);
    run Collector()
  }
}
