/*
 * Dirty rings with the live bitmap behind them: reports that are under way, rings that are full, marks
 * that are cut short, vCPUs that leave.
 *
 * Classes: VcpuRing, RingTracker, ReportedBitmap, Collector.reap and leave, FetchedBits, Takes,
 * Handshake, VcpuState. Two vCPUs write, each a word of RAM of its own, and mark the page that it is in.
 * One collector takes, TAKES times while they run and once after they have ended. At the end the
 * client's copy has to equal RAM: otherwise a write was lost. After each take it has to have every write
 * that was followed by an acknowledgement, or the end of its vCPU, before the fetch began.
 *
 * A ring has one entry, which is one word here: 0, or the page and 1. ring.pml has the rest of a ring.
 * So the second page that a vCPU makes dirty before a harvest is spilled into the bitmap.
 *
 * LAYOUT says where the words of RAM are: 0, all in one page, so that one vCPU relies on the report of
 * the other; 1, in two pages of one word of the bitmap, of which vCPU 0 writes both in turn; 2, as 1,
 * but in two words of one block, so that a note names one page. With DIES the thread of vCPU 0 may end in
 * the middle of a mark. With CUT its mark may be cut short there by an error, and it goes on with its
 * next write: it stores after its mark then, as the accessors of core do.
 *
 * With REAPER the rings are reaped once more before each take, without a fetch, as RingReaper does.
 *
 * Bounds: two vCPUs with WRITES_0 and WRITES_1 stores, one block, one slot, one client. Whoever reaps
 * holds the collector lock, so the collector stands for all of them: reapers, and who closes a vCPU.
 *
 * RUN pass 0 -DLAYOUT=0
 * RUN pass 0 -DLAYOUT=1
 * RUN pass 0 -DLAYOUT=2
 * RUN pass 0 -DLAYOUT=1 -DCUT
 * RUN pass 0 -DLAYOUT=1 -DREAPER
 * RUN pass 0 -DLAYOUT=0 -DDIES -DWRITES_1=2
 * RUN pass 1 -DLAYOUT=0 -DTAKES=1
 * RUN pass 1 -DLAYOUT=2 -DTAKES=1
 * RUN pass 2 -DLAYOUT=0 -DTAKES=1
 * RUN pass 2 -DLAYOUT=1 -DTAKES=1
 * RUN fail SPILL_LOST 0 -DLAYOUT=1
 * RUN fail PUSH_BEFORE_MARK 0 -DLAYOUT=0
 * RUN fail RESET_AFTER_BARRIER 0 -DLAYOUT=0 -DMARK_FIRST
 * RUN fail NOTE_OVERWRITTEN 0 -DLAYOUT=2 -DCUT
 * RUN fail NO_HELP 0 -DLAYOUT=0
 * RUN fail HELP_AFTER_HARVEST 0 -DLAYOUT=0
 * RUN fail BUG_13 0 -DLAYOUT=0
 * RUN fail WEAK_B13 0 -DLAYOUT=1
 * RUN fail WORDS_BEFORE_FLAG 0 -DLAYOUT=1 -DWRITES_0=3
 * RUN fail WEAK_S10 0 -DLAYOUT=0
 * RUN same OPAQUE_S10 2 -DLAYOUT=2 -DTAKES=1
 * RUN fail WEAK_S11 2 -DLAYOUT=0 -DWRITES_0=1
 * RUN full 2 -DLAYOUT=0
 * RUN full 0 -DLAYOUT=0 -DMARK_FIRST
 * RUN full 0 -DLAYOUT=1 -DWRITES_0=3
 * RUN full 1 -DLAYOUT=0
 * RUN full 1 -DLAYOUT=1
 * RUN full 2 -DLAYOUT=2 -DTAKES=1
 * RUN full 2 -DLAYOUT=1 -DCUT -DTAKES=1
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

#define RAM 0 /* and 1: one per vCPU, and where vCPU 0 writes two pages */
#define RAM_2 2
#define LIVE 3 /* and 4: words of the live bitmap */
#define SUMMARY 5
#define REPORTED 6
#define UNDER_WAY 7 /* and 8: VcpuRing.UNDER_WAY: a word and 1, or 0 for NOTHING */
#define ENTRY 9 /* and 10: the page and 1, or 0 if it is free */
#define REQUESTED 11
#define FLAG 12 /* and 13: VcpuState.pending */
#define ACKNOWLEDGED 14 /* and 15 */
#define OFFLINE 16 /* and 17 */
#define NV 18
#define SB 3

#define EARLY_LOAD(t, v) ((t) < C && ((v) == LIVE || (v) == LIVE + 1))

/* Pages: 0 in LAYOUT 0, else 0 and 1. vCPU 1 writes page 0. */
#if LAYOUT == 0
#define PAGE_OF(me, n) 0
#else
#define PAGE_OF(me, n) ((me) == 0 && (n) % 2 == 0)
#endif
#if LAYOUT == 2
#define WORD_OF(page) (page)
#define BIT_OF(page) 1
#else
#define WORD_OF(page) 0
#define BIT_OF(page) (1 << (page))
#endif
#define RAM_OF(me, n) ((me) == 0 && PAGE_OF(me, n) -> RAM_2 : RAM + (me))

#include "memory.pml"

byte ended; /* vCPUs */
byte passed[3]; /* each RAM word's value at its vCPU's last acknowledgement */
byte copied[3]; /* the client's copy of each word of RAM */
byte written[3];

/* An error in the middle of a mark, or the end of the thread. */
inline end_here_perhaps(me) {
#ifdef DIES
  if
  :: me == 0 -> say(me, "its thread ends"); goto dead
  :: skip
  fi
#elif defined(CUT)
  if
  :: me == 0 && !was_cut -> say(me, "an error cuts the mark short"); was_cut = true; cut = true; goto marked
  :: skip
  fi
#else
  skip
#endif
}

/* ReportedBitmap.report. */
inline report(me, v) {
#ifdef WEAK_B13
  store(me, REPORTED, 1, VOLATILE);
  full_fence(me);
  rmw(me, SUMMARY, v, 1, VOLATILE)
#else
  rmw(me, SUMMARY, v, 1, VOLATILE); /* B13 */
  store(me, REPORTED, 1, VOLATILE)
#endif
}

/* RingProducer.push, in a ring of one entry. */
inline push(me) {
  load(me, ENTRY + me, x, ACQUIRE); /* R4 */
  if
  :: x == 0 -> store(me, ENTRY + me, page + 1, RELEASE) /* R1 */
#ifdef SPILL_LOST
  :: else -> say(me, "finds its ring full")
#else
  :: else -> say(me, "finds its ring full"); report(me, x)
#endif
  fi;
  x = 0
}

/* VcpuRing.mark. */
inline mark(me) {
#if !defined(WEAK_S10) && !defined(NOTE_OVERWRITTEN)
#ifdef CUT
  load(me, UNDER_WAY + me, x, OPAQUE);
  if
  :: x -> say(me, "finds the note of a mark that was cut short"); report(me, x); store(me, UNDER_WAY + me, 0, RELEASE) /* finishReport */
  :: else
  fi;
  x = 0;
#endif
#endif
#ifndef WEAK_S10
#ifdef OPAQUE_S10
  store(me, UNDER_WAY + me, WORD_OF(page) + 1, OPAQUE);
#else
  store(me, UNDER_WAY + me, WORD_OF(page) + 1, RELEASE); /* S10 */
#endif
#endif
  end_here_perhaps(me);
  /* ReportedBitmap.markWord */
  load(me, LIVE + WORD_OF(page), live, OPAQUE); /* B1 */
  if
  :: (live & BIT_OF(page)) -> say(me, "the page is marked already")
  :: else ->
#ifdef PUSH_BEFORE_MARK
    push(me);
#endif
    rmw(me, LIVE + WORD_OF(page), live, live | BIT_OF(page), RELEASE); /* B4 */
#ifdef WEAK_S10
    store(me, UNDER_WAY + me, WORD_OF(page) + 1, RELEASE);
#endif
    if
    :: (live & BIT_OF(page)) -> skip /* another vCPU has changed it, and reports it */
    :: else ->
      end_here_perhaps(me);
#ifndef PUSH_BEFORE_MARK
      push(me);
#endif
      end_here_perhaps(me)
    fi
  fi;
  live = 0;
#ifdef WEAK_S11
  store(me, UNDER_WAY + me, 0, OPAQUE)
#else
  store(me, UNDER_WAY + me, 0, RELEASE) /* S11 */
#endif
}

/* VcpuState.safepoint and acknowledge. */
inline safepoint(me) {
  load(me, FLAG + me, x, ACQUIRE); /* S2: isAsked */
  if
  :: x == 0 -> skip
  :: else ->
    rmw(me, FLAG + me, x, 0, VOLATILE);
    load(me, REQUESTED, x, VOLATILE); /* S1 */
    acquire_fence(me);
    say1(me, "acknowledges request", x);
    store(me, ACKNOWLEDGED + me, x, RELEASE); /* S2 */
    d_step {
      passed[me] = written[me];
      if :: me == 0 -> passed[2] = written[2] :: else fi
    }
  fi;
  x = 0
}

inline write_ram(me) {
  d_step { written[RAM_OF(me, n)] = n };
  store(me, RAM_OF(me, n), n, OPAQUE)
}

proctype Vcpu(byte me; byte writes) {
  byte x, live, n;
  bit page;
#ifdef CUT
  bit cut, was_cut;
#endif
  do
  :: n < writes && mem[FLAG + me] -> safepoint(me) /* before its first write, or once more */
  :: n < writes ->
    n++;
    page = PAGE_OF(me, n);
#if defined(DIES) || defined(CUT) || defined(MARK_FIRST)
    mark(me); /* as the accessors of core do */
    write_ram(me);
#else
    write_ram(me);
    mark(me);
#endif
#ifdef CUT
marked:
    cut = 0;
    live = 0;
#endif
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
  d_step {
    EMPTY(me) ->
    mem[OFFLINE + me] = 1;
    passed[me] = written[me];
    if :: me == 0 -> passed[2] = written[2] :: else fi;
    ended++;
    x = 0;
    live = 0;
    n = 0;
    page = 0
  }
}

/* RingTracker.reapRings: the word that a vCPU has begun to report. */
inline help(v) {
#ifndef NO_HELP
  load(C, UNDER_WAY + v, x, ACQUIRE); /* S10, S11 */
  if
  :: x -> say1(C, "reports in the stead of vCPU", v); report(C, x)
  :: else
  fi;
  x = 0
#else
  skip
#endif
}

/* VcpuRing.reap, for one ring: harvest, reset, and tell the clients. */
inline reap_ring(v) {
#ifndef HELP_AFTER_HARVEST
  help(v);
#endif
  load(C, ENTRY + v, entry, ACQUIRE); /* R1 */
#ifdef HELP_AFTER_HARVEST
  help(v);
#endif
  if
  :: entry == 0 -> skip
  :: else ->
    say1(C, "harvests page", entry - 1);
#ifdef RESET_AFTER_BARRIER
    late = late | (1 << (entry - 1));
#else
    rmw(C, LIVE + WORD_OF(entry - 1), x, x & ~BIT_OF(entry - 1), VOLATILE); /* B11: RingTracker.arm */
#endif
    store(C, ENTRY + v, 0, RELEASE); /* R4 */
    view = view | (1 << (entry - 1));
    entry = 0
  fi;
  x = 0
}

inline reap() {
  if :: !left[0] -> reap_ring(0) :: else fi;
  if :: !left[1] -> reap_ring(1) :: else fi
}

/* Collector.leave: a vCPU, which is offline or dead, is closed, and its ring is no more. */
inline close_perhaps(v) {
  if
  :: mem[OFFLINE + v] == 1 && !left[v] ->
    acquire_fence(C);
    say1(C, "closes vCPU", v);
#ifndef BUG_13
    reap();
#endif
    left[v] = true
  :: true
  fi
}

inline fetch_word(w) {
  load(C, LIVE + w, x, ACQUIRE); /* B6 */
#if LAYOUT == 2
  bits = bits | (x << w)
#else
  bits = bits | x
#endif
}

/* ReportedBitmap.fetchReported, into FetchedBits. */
inline fetch_reported() {
#ifdef WORDS_BEFORE_FLAG
  fetch_word(0);
#if LAYOUT == 2
  fetch_word(1);
#endif
#endif
  load(C, REPORTED, x, OPAQUE);
  if
  :: x == 0 -> bits = 0
  :: else ->
    rmw(C, REPORTED, x, 0, VOLATILE); /* B13 */
    rmw(C, SUMMARY, x, 0, VOLATILE); /* B5 */
#ifndef WORDS_BEFORE_FLAG
    if
    :: x == 0 -> skip
    :: else ->
      fetch_word(0);
#if LAYOUT == 2
      fetch_word(1)
#endif
    fi;
#else
    if :: x == 0 -> bits = 0 :: else fi;
#endif
    say1(C, "finds reported bits", bits);
    view = view | (bits & ~told);
    told = told | bits;
    bits = 0
  fi;
  x = 0
}

/* Takes.take: reap, fetch, move, clear, barrier; then the client reads the pages of its batch. */
inline take() {
  d_step {
    due[0] = (EMPTY(0) -> passed[0] : 0);
    due[1] = (EMPTY(1) -> passed[1] : 0);
    due[2] = (EMPTY(0) -> passed[2] : 0)
  }
  say(C, "takes");
  reap();
  fetch_reported();
  batch = view;
  view = 0;
  if :: told & 1 -> rmw(C, LIVE, x, x & ~1, VOLATILE) :: else fi; /* B11: FetchedBits.clear */
  if :: told & 2 -> rmw(C, LIVE + WORD_OF(1), x, x & ~BIT_OF(1), VOLATILE) :: else fi;
  told = 0;
  rmw(C, REQUESTED, number, number + 1, VOLATILE); /* S1: Handshake.request */
  number++;
  rmw(C, FLAG, x, 1, VOLATILE); /* S2: VcpuState.request */
  rmw(C, FLAG + 1, x, 1, VOLATILE);
  await(C, mem[ACKNOWLEDGED] >= number || mem[OFFLINE] == 1);
  await(C, mem[ACKNOWLEDGED + 1] >= number || mem[OFFLINE + 1] == 1);
#ifdef RESET_AFTER_BARRIER
  if :: late & 1 -> rmw(C, LIVE, x, x & ~1, VOLATILE) :: else fi;
  if :: late & 2 -> rmw(C, LIVE + WORD_OF(1), x, x & ~BIT_OF(1), VOLATILE) :: else fi;
  late = 0;
#endif
  say(C, "reads the pages of its batch");
  if
  :: batch & 1 -> load(C, RAM, copied[0], OPAQUE); load(C, RAM + 1, copied[1], OPAQUE)
  :: else
  fi;
  if
  :: batch & 2 -> load(C, RAM_2, copied[2], OPAQUE)
  :: else
  fi;
  d_step {
    /* Every mark whose vCPU had acknowledged before the fetch was found by it, or earlier. */
    assert(copied[0] >= due[0] && copied[1] >= due[1] && copied[2] >= due[2]);
    due[0] = 0;
    due[1] = 0;
    due[2] = 0;
    batch = 0;
    number = 0;
    x = 0
  }
}

proctype Collector() {
  byte x, entry, view, told, bits, batch, number, takes;
  byte due[3];
  bit left[2];
#ifdef RESET_AFTER_BARRIER
  byte late;
#endif
  /* At first every page is dirty for the client, and counts as told: none is armed. */
  view = 3;
  told = 3;
  do
  :: takes < TAKES ->
    takes++;
    close_perhaps(0);
#ifdef REAPER
    say(C, "reaps before the take");
    reap();
#endif
    take()
  :: else -> break
  od;
  ended == 2;
  say(C, "both vCPUs have ended: the last take");
  full_fence(C);
  close_perhaps(0);
  take();
  assert(copied[0] == mem[RAM] && copied[1] == mem[RAM + 1] && copied[2] == mem[RAM_2])
}

init {
  atomic {
    mem[LIVE] = 3;
#if LAYOUT == 2
    mem[LIVE] = 1;
    mem[LIVE + 1] = 1;
#endif
    run Vcpu(0, WRITES_0);
    run Vcpu(1, WRITES_1);
    run Collector()
  }
}
