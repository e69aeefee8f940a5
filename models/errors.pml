/*
 * A take in which any step may be the last: an error ends the call there, and the next call finishes what
 * it has left. The page is at every moment in a place where somebody finds it.
 *
 * Classes: Takes, Collector (settle, settleEpoch, armed), FetchedBits, LiveBitmap.moveInto, HostBitmap,
 * TakenPages, ClientView, CollectorLock. A vCPU, which has a write TLB, and a device write two words of
 * one page. Two clients take in turn, TAKES times together, and each once more after the writers have
 * ended and with no error; then its copy has to equal RAM. ERRORS times, an error comes in any step under
 * the lock, in the barrier, in the client's own work, or where the pages are given back.
 *
 * With MOVES the tracker clears as it tells (collectAndClear); without, FetchedBits is between.
 *
 * Bounds: one page, no summary. Whoever calls holds the collector lock, so one thread stands for both
 * clients. Left out: a stack that ends inside a set (Collector.doubtAll), devices with a log of their own,
 * rings (report.pml has the note of a mark that is cut short), and a change of slots that is cut short.
 *
 * RUN pass 0
 * RUN pass 0 -DMOVES
 * RUN pass 1 -DERRORS=1 -DTAKES=2
 * RUN pass 1 -DERRORS=1 -DTAKES=2 -DMOVES
 * RUN fail TOLD_BEFORE_VIEWS 0 -DERRORS=1 -DTAKES=2
 * RUN fail CLEARED_BEFORE_VIEWS 0 -DMOVES -DERRORS=1 -DTAKES=2
 * RUN fail OUT_OF_VIEW_FIRST 0 -DERRORS=1 -DTAKES=2
 * RUN fail OUT_OF_BATCH_FIRST 0 -DTAKES=2
 * RUN fail DRAINED_INTO_A_LOCAL 0 -DERRORS=1 -DTAKES=2
 * RUN fail NOT_SAID_BEFOREHAND 0 -DERRORS=1 -DTAKES=2
 * RUN fail NOT_FINISHED 0 -DTAKES=2
 * RUN fail READ_AFTER_TIMEOUT 0 -DERRORS=1 -DTAKES=2
 * RUN full 0 -DTAKES=4
 * RUN full 0 -DTAKES=4 -DMOVES
 * RUN full 1
 * RUN full 2
 */
#ifndef TAKES
#define TAKES 3
#endif
#ifndef ERRORS
#define ERRORS 2
#endif
#ifndef WRITES
#define WRITES 2
#endif

#define NT 3
#define V 0 /* thread: vCPU */
#define D 1 /* thread: device */
#define C 2 /* thread: collector */

#define RAM 0 /* and 1: the vCPU's word and the device's */
#define LIVE 2
#define HOST 3
#define EPOCH 4
#define REQUESTED 5
#define ACKNOWLEDGED 6
#define OFFLINE 7
#define NV 8

#define EARLY_LOAD(t, v) ((t) == V && (v) == LIVE)

#include "memory.pml"

bit ended; /* the device */

inline safepoint() {
  load(V, REQUESTED, request, VOLATILE);
  load(V, EPOCH, x, VOLATILE); /* S3 */
  if
  :: x != seen -> say(V, "arm callback: drops its write TLB"); tlb = 0; seen = x
  :: else
  fi;
  store(V, ACKNOWLEDGED, request, RELEASE); /* S2 */
  d_step { request = 0; x = 0 }
}

proctype Vcpu() {
  byte x, request, seen, n;
  bit tlb;
  do
  :: n < WRITES && mem[REQUESTED] > mem[ACKNOWLEDGED] -> safepoint()
  :: n < WRITES ->
    n++;
    store(V, RAM, n, OPAQUE);
    if
    :: tlb -> say(V, "its write TLB has the page")
    :: else ->
      load(V, LIVE, x, OPAQUE); /* B1 */
      if
      :: x -> say(V, "the page is marked already")
      :: else -> rmw(V, LIVE, x, 1, RELEASE) /* B4 */
      fi;
      tlb = 1
    fi;
    x = 0
  :: else -> break
  od;
  tlb = 0;
  say(V, "goes offline");
  store(V, OFFLINE, 1, RELEASE); /* S4 */
  d_step { EMPTY(V) -> n = 0; seen = 0 }
}

/* HostBitmap.markAlways. */
proctype Device() {
  byte x;
  store(D, RAM + 1, 1, OPAQUE);
  rmw(D, HOST, x, 1, VOLATILE); /* B7 */
  ended = 1
}

/* Where a call may be cut short. */
inline error_perhaps() {
  if
  :: errors > 0 -> say(C, "an error"); errors--; goto cut
  :: true
  fi
}

/* Collector.settle and settleEpoch. */
inline settle() {
  if
  :: armed ->
    rmw(C, EPOCH, x, x + 1, VOLATILE); /* S3 */
    d_step { armed = 0; x = 0 }
  :: else
  fi
}

/* SlotViews.tell: view after view. */
inline tell() {
  view[0] = 1;
  error_perhaps();
  view[1] = 1;
  say(C, "has told both clients of the page");
  error_perhaps()
}

/* Collector.fetch. */
inline fetch() {
  load(C, LIVE, found, ACQUIRE); /* B6 */
#ifdef MOVES
  /* LiveBitmap.moveInto: every view before the bit. */
  if
  :: found ->
#ifndef NOT_SAID_BEFOREHAND
    armed = 1;
#endif
#ifdef CLEARED_BEFORE_VIEWS
    rmw(C, LIVE, x, 0, VOLATILE);
    error_perhaps();
    tell();
#else
    tell();
    rmw(C, LIVE, x, 0, VOLATILE); /* B14 */
    error_perhaps();
#endif
    d_step { found = 0; x = 0; armed = 1 }
  :: else
  fi;
#else
  /* FetchedBits.collect: every view before the cache. */
  if
  :: found && !told ->
#ifdef TOLD_BEFORE_VIEWS
    told = 1;
    error_perhaps();
    tell();
#else
    tell();
    told = 1;
#endif
    found = 0
  :: else -> found = 0
  fi;
#endif
  /* HostBitmap.drain: what it takes out is in a field until it was told. */
  rmw(C, HOST, x, 0, VOLATILE); /* B10 */
  drained = drained | x;
  x = 0;
  if
  :: drained -> error_perhaps(); tell(); drained = 0
  :: else
  fi
}

/* ClientView.moveRange: into the batch, then out of the view. */
inline move() {
  open[client] = 1;
  if
  :: view[client] ->
#ifdef OUT_OF_VIEW_FIRST
    view[client] = 0;
    error_perhaps();
    batch[client] = 1;
#else
    batch[client] = 1;
    error_perhaps();
    view[client] = 0;
#endif
    error_perhaps()
  :: else
  fi
}

/* Collector.clear. */
inline clear() {
  if
  :: told ->
#ifndef NOT_SAID_BEFOREHAND
    armed = 1;
#endif
    error_perhaps();
    rmw(C, LIVE, x, 0, VOLATILE); /* B11 */
    x = 0;
    error_perhaps();
    told = 0;
    error_perhaps();
    armed = 1
  :: else
  fi
}

/* Collector.afterSync: it may end with a timeout. */
inline barrier() {
  rmw(C, REQUESTED, number, number + 1, VOLATILE); /* S1 */
  number++;
  if
  :: await(C, mem[ACKNOWLEDGED] >= number || mem[OFFLINE] == 1); number = 0
  :: errors > 0 -> say(C, "the barrier takes too long"); errors--; number = 0;
#ifndef READ_AFTER_TIMEOUT
    goto cut
#endif
  fi
}

inline read_pages() {
  if
  :: batch[client] ->
    say1(C, "this client reads the page:", client);
    load(C, RAM, copied[client * 2], OPAQUE);
    load(C, RAM + 1, copied[client * 2 + 1], OPAQUE)
  :: else
  fi
}

inline error_in_giving_back() {
  if
  :: errors > 0 -> say(C, "an error, and the batch stays the client's"); errors--; goto given
  :: true
  fi
}

/* TakenPages.giveBack: into the view, then out of the batch. */
inline give_back(which) {
  error_in_giving_back();
  if
  :: batch[which] ->
#ifdef OUT_OF_BATCH_FIRST
    batch[which] = 0;
    error_in_giving_back();
    view[which] = 1;
#else
    view[which] = 1;
    error_in_giving_back();
    batch[which] = 0;
#endif
    error_in_giving_back()
  :: else
  fi;
  d_step { open[which] = 0; failed[which] = 0 }
}

proctype Collector() {
  byte x, number, takes, errors;
  byte copied[4];
  bit told, found, drained, armed, client, closes;
  bit view[2];
  bit batch[2];
  bit open[2];
  bit failed[2]; /* TakenPages.failed */
  errors = ERRORS;
  do
  :: takes < TAKES + 2 ->
    if
    :: takes < TAKES -> if :: client = 0 :: client = 1 fi
    :: takes >= TAKES ->
      await(C, mem[OFFLINE] == 1 && ended);
      say(C, "the writers have ended: a last take");
      errors = 0;
      client = takes - TAKES
    fi;
    takes++;
    say1(C, "a take by client", client);
    settle();
    /* Takes.finish: what the client's last call could not give back. */
#ifdef NOT_FINISHED
    failed[client] = 0;
    batch[client] = 0;
    open[client] = 0;
#else
    if
    :: failed[client] -> say(C, "gives back what was left"); closes = 0; goto gives_back
    :: else
    fi;
#endif
taken:
    assert(!open[client]);
    fetch();
    move();
    clear();
    settle(); /* before the lock is given back */
    barrier();
    read_pages();
    error_perhaps(); /* of the client's own work */
    say(C, "acknowledges all");
    batch[client] = 0;
    goto closed;
cut:
    /* Before the lock is given back; then Takes.giveBackAfter. */
    found = 0;
    x = 0;
    number = 0;
#ifdef DRAINED_INTO_A_LOCAL
    drained = 0;
#endif
    settle();
    failed[client] = open[client];
closed:
    closes = 1;
gives_back:
    give_back(client);
    if
    :: closes -> skip
    :: else -> goto taken
    fi;
given:
    failed[client] = open[client]
  :: else -> break
  od;
  assert(copied[0] == mem[RAM] && copied[1] == mem[RAM + 1]);
  assert(copied[2] == mem[RAM] && copied[3] == mem[RAM + 1])
}

init {
  atomic {
    run Vcpu();
    run Device();
    run Collector()
  }
}
