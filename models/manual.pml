/*
 * Several clients over one tracker, with the manual-clear cache between them: takes of everything and of
 * one page, give-back, acknowledgement in parts, discards, and a client that starts clean.
 *
 * Classes: Takes, Collector, FetchedBits, ClearRanges, SlotViews, ClientView, TakenPages, Clients,
 * Handshake. One vCPU writes the words of two pages. Client A knows nothing at first; client B starts
 * clean while the vCPU runs, and has read everything by the end of that start. Each client makes STEPS_A
 * or STEPS_B calls, any of those that there are, and after the vCPU has ended a last take of everything.
 * Then its copy has to equal RAM: otherwise a write was lost. A discard counts as if the page had been
 * read at its end.
 *
 * What is done under the collector lock is one step for the other client, not for the vCPU.
 *
 * Bounds: one vCPU with WRITES stores, two pages of one word, two clients. The bitmap has no summary:
 * marking.pml has that, and the flag of a request. Left out: errors (errors.pml), slots (swap.pml), limits
 * and cursors of a take.
 *
 * RUN pass 0 -DSTEPS_B=0
 * RUN pass 0 -DSTEPS_B=0 -DMOVES
 * RUN pass 1 -DSTEPS_B=0
 * RUN pass 2 -DSTEPS_B=0 -DWRITES=1
 * RUN fail BUG_3 0 -DSTEPS_B=0
 * RUN fail BUG_4 0 -DSTEPS_B=0
 * RUN fail BUG_19 0 -DSTEPS_B=0
 * RUN fail BUG_20 0 -DSTEPS_B=0
 * RUN fail TELLS_ITSELF 0 -DSTEPS_B=0
 * RUN fail GIVE_BACK_FORGETS 0 -DSTEPS_B=0
 * RUN fail COMMIT_EMPTIES_VIEW 0 -DSTEPS_B=0
 * RUN fail CLEAR_AT_COMMIT 0 -DSTEPS_B=0
 * RUN fail NO_CLEAR 0 -DSTEPS_B=0
 * RUN fail SKIPS_BARRIER 0
 * RUN fail START_KEEPS_CACHE 0 -DSTEPS_B=0
 * RUN full 0
 * RUN full 0 -DMOVES
 * RUN full 0 -DSTEPS_A=2 -DSTEPS_B=0
 * RUN full 1 -DSTEPS_B=0 -DMOVES
 * RUN full 2 -DSTEPS_B=0
 */
#ifndef WRITES
#define WRITES 2
#endif
#ifndef STEPS_A
#define STEPS_A 1
#endif
#ifndef STEPS_B
#define STEPS_B 1
#endif

#define NT 3
#define V 0 /* thread: vCPU */
/* thread 1: client A; thread 2: client B */

#define RAM 0 /* and 1: one per page */
#define LIVE 2
#define REQUESTED 3
#define ACKNOWLEDGED 4
#define OFFLINE 5
#define NV 6

#define EARLY_LOAD(t, v) ((t) == V && (v) == LIVE)

#include "memory.pml"

byte lock; /* 0: free; else the thread and 1 */
byte told; /* FetchedBits.told */
byte view[3]; /* of the clients, by thread */
byte copied[6]; /* by thread and page */
bit listens[3]; /* whether it is a client */

inline take_lock(t) {
  d_step { lock == 0 -> lock = t + 1; ACQUIRE_(t) }
}

inline give_lock(t) {
  d_step { EMPTY(t) -> lock = 0 }
}

/* LiveBitmap.markRange, without its summary. */
inline mark() {
  load(V, LIVE, x, OPAQUE); /* B1 */
  if
  :: (x & (1 << page)) -> say1(V, "finds this page marked already:", page)
  :: else -> rmw(V, LIVE, x, x | (1 << page), RELEASE) /* B4 */
  fi;
  x = 0
}

inline safepoint() {
  load(V, REQUESTED, x, VOLATILE);
  store(V, ACKNOWLEDGED, x, RELEASE); /* S2 */
  x = 0
}

proctype Vcpu() {
  byte x, n;
  bit page;
  do
  :: n < WRITES && mem[REQUESTED] > mem[ACKNOWLEDGED] -> safepoint()
  :: n < WRITES ->
    n++;
    if
    :: page = 0
    :: page = 1
    fi;
    if
    :: store(V, RAM + page, n, OPAQUE); mark()
    :: mark(); store(V, RAM + page, n, OPAQUE)
    fi;
    safepoint()
  :: else -> break
  od;
  x = 0;
  say(V, "goes offline");
  store(V, OFFLINE, 1, RELEASE); /* S4 */
  d_step { EMPTY(V) -> n = 0; page = 0; x = 0 }
}

/* SlotViews.tell. */
inline tell(me, pages) {
  d_step {
#ifdef TELLS_ITSELF
    view[me] = view[me] | (pages);
#else
    if :: listens[1] -> view[1] = view[1] | (pages) :: else fi;
    if :: listens[2] -> view[2] = view[2] | (pages) :: else fi;
#endif
    printf("T%d| # tells of pages %d, as bits\n", me, pages)
  }
}

inline collect(me) {
  load(me, LIVE, found, ACQUIRE); /* B6 */
  tell(me, found & ~told);
  told = told | found
}

/* Collector.fetch: FetchedBits.collect, or, with MOVES and a take of everything, collectAndClear. */
inline fetch(me, everything) {
#ifdef MOVES
  if
  :: everything ->
    load(me, LIVE, found, ACQUIRE); /* B6 */
    tell(me, found);
    rmw(me, LIVE, x, x & ~found, VOLATILE) /* B14 */
  :: else -> collect(me)
  fi;
  d_step { found = 0; x = 0 }
#else
  collect(me);
  found = 0
#endif
}

/* Collector.clear, by FetchedBits.clear: of some pages those that were told. */
inline clear(me, pages) {
#ifdef BUG_3
  asked = pages;
#elif defined(BUG_4)
  asked = ((told & (pages)) -> 3 : 0);
#else
  asked = told & (pages);
#endif
#if defined(NO_CLEAR) || defined(CLEAR_AT_COMMIT)
  asked = 0;
#endif
  if
  :: asked -> rmw(me, LIVE, x, x & ~asked, VOLATILE) /* B11 */
  :: else
  fi;
  cleared = asked != 0;
#if !defined(NO_CLEAR) && !defined(CLEAR_AT_COMMIT)
  told = told & ~asked;
#endif
  d_step { asked = 0; x = 0 }
}

/* Collector.afterSync. */
inline barrier(me) {
  rmw(me, REQUESTED, number, number + 1, VOLATILE); /* S1 */
  number++;
  await(me, mem[ACKNOWLEDGED] >= number || mem[OFFLINE] == 1);
  d_step { number = 0; x = 0 }
}

/* Takes.take, of everything or of some pages, and with a fetch or without. */
inline take(me, pages, sync) {
  take_lock(me);
  if :: sync -> fetch(me, pages == 3) :: else fi;
  d_step { batch = view[me] & (pages); view[me] = view[me] & ~batch }
  say1(me, "takes pages, as bits:", batch);
  which = (pages == 3 -> told : batch);
  clear(me, which);
  give_lock(me);
#ifdef SKIPS_BARRIER
  if :: cleared -> barrier(me) :: else fi;
#else
  barrier(me);
#endif
  d_step { cleared = 0; which = 0 }
}

inline read_page(me, p) {
  say1(me, "reads page", p);
  load(me, RAM + p, copied[me * 2 + p], OPAQUE)
}

inline acknowledge(pages) {
#ifdef CLEAR_AT_COMMIT
  acknowledged = acknowledged | pages;
#endif
  batch = batch & ~pages
}

/* DirtyBatch: pages are acknowledged one by one; Takes.giveBack has the rest. */
inline walk(me) {
  if
  :: batch & 1 -> read_page(me, 0); acknowledge(1)
  :: true
  fi;
  if
  :: batch & 2 -> read_page(me, 1); acknowledge(2)
  :: true
  fi;
  take_lock(me);
#ifdef CLEAR_AT_COMMIT
  rmw(me, LIVE, x, x & ~acknowledged, VOLATILE);
  told = told & ~acknowledged;
  d_step { acknowledged = 0; x = 0 }
#endif
  d_step {
    printf("T%d| # gives back pages %d, as bits\n", me, batch);
#ifdef GIVE_BACK_FORGETS
    view[me] = batch;
#elif defined(COMMIT_EMPTIES_VIEW)
    view[me] = (batch == 0 -> 0 : view[me] | batch);
#elif !defined(BUG_19)
    view[me] = view[me] | batch;
#endif
    batch = 0
  }
  give_lock(me)
}

/* Takes.discard: a take of which every page is acknowledged. */
inline discard(me, pages) {
  say1(me, "discards pages, as bits:", pages);
#ifdef BUG_20
  take_lock(me);
  view[me] = view[me] & ~(pages);
  give_lock(me);
#else
  take(me, pages, true);
#endif
  if :: (pages) & 1 -> read_page(me, 0) :: else fi;
  if :: (pages) & 2 -> read_page(me, 1) :: else fi;
  batch = 0
}

/* Clients.startLocked, of a client that begins clean beside another. */
inline start_clean(me) {
  take_lock(me);
  fetch(me, true);
#ifndef START_KEEPS_CACHE
  clear(me, told);
#endif
  listens[me] = true;
  give_lock(me);
  barrier(me);
  cleared = 0;
  say(me, "starts clean");
  read_page(me, 0);
  read_page(me, 1)
}

proctype Client(byte me) {
  byte x, found, asked, number, batch, which, steps;
  bit cleared;
#ifdef CLEAR_AT_COMMIT
  byte acknowledged;
#endif
  if
  :: me == 2 -> start_clean(me)
  :: else
  fi;
  do
  :: steps < (me == 1 -> STEPS_A : STEPS_B) ->
    steps++;
    if
    :: take(me, 3, true); walk(me)
    :: take(me, 1, true); walk(me)
    :: take(me, 1, false); walk(me)
    :: me == 1 -> discard(me, 2)
    fi
  :: else -> break
  od;
  steps = 0;
  await(me, mem[OFFLINE] == 1);
  say(me, "the vCPU has ended: the last take");
  take(me, 3, true);
  if :: batch & 1 -> read_page(me, 0) :: else fi;
  if :: batch & 2 -> read_page(me, 1) :: else fi;
  assert(copied[me * 2] == mem[RAM] && copied[me * 2 + 1] == mem[RAM + 1]);
  batch = 0
}

init {
  atomic {
    /* The first client's start: no page is armed, and all count as told. */
    mem[LIVE] = 3;
    told = 3;
    view[1] = 3;
    listens[1] = true;
    run Vcpu();
    run Client(1);
    run Client(2)
  }
}
