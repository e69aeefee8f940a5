/*
 * A watch of a page: arming it, against writes of vCPUs or of a device, and a cache of translated code.
 *
 * Classes: SlotWatch, SlotWatches, VcpuMarker, HostWriter, Handshake. Each of two writers writes a word of
 * one page, and each write is told to the listener if the page is armed, or is found by the live bit. A
 * translator arms the page, reads both words, and enters them into the cache, unless the listener was
 * called since the page was armed. When a write has returned, the cache has nothing older; that is the promise.
 *
 * Writers are vCPUs, each with a write TLB, or with DEVICE one of them is a device, which has no
 * safepoints. The listener, and the entry into the cache, are one step each: both take the cache's lock.
 * The second barrier of arming is that of the discard (Takes.discard).
 *
 * Bounds: two writers with WRITES writes each, one translator with TURNS turns. The bitmap is one bit;
 * marking.pml has the rest of it. Left out: clients (manual.pml), watches of bytes, whose bit is never
 * taken away, and vCPUs that come online (barrier.pml).
 *
 * RUN pass 0
 * RUN pass 1
 * RUN pass 2 -DWRITES=1
 * RUN pass 2 -DDEVICE -DWRITES=1
 * RUN fail NO_FIRST_BARRIER 0
 * RUN fail NO_SECOND_BARRIER 0
 * RUN fail DISARMS_FIRST 0
 * RUN fail DISARMS_WHILE_ARMING 0
 * RUN fail END_NOT_COUNTED 0
 * RUN fail TLB_ALWAYS 0
 * RUN fail LOOKS_BEFORE_MARK 1 -DDEVICE
 * RUN fail WEAK_W1 0
 * RUN same WEAK_W2 2 -DDEVICE -DWRITES=1
 * RUN full 1 -DDEVICE
 * RUN full 0 -DWRITES=3
 */
#ifndef WRITES
#define WRITES 2
#endif
#ifndef TURNS
#define TURNS 2
#endif
#define NT 3
#define T 2 /* thread: translator */
/* thread 0: vCPU 0; thread 1: writer 1 */

#define RAM 0 /* and 1 */
#define LIVE 2
#define ARMED 3
#define REQUESTED 4
#define EPOCH 5
#define FLAG 6 /* and 7 */
#define ACKNOWLEDGED 8 /* and 9 */
#define OFFLINE 10 /* and 11 */
#define HOST 12
#define NV 13

#include "memory.pml"

/* Under the cache's lock. */
bit cached;
byte code[2];
byte invalidations;

/* Under the watch's lock. */
byte armings;
byte arming;

/* SlotWatch.Pages.disarm. */
inline disarm(me) {
  atomic {
    if
#ifdef DISARMS_WHILE_ARMING
    :: armings == before ->
#else
    :: arming == 0 && armings == before ->
#endif
      rmw(me, ARMED, x, 0, VOLATILE)
    :: else
    fi
  }
}

/* SlotWatch.Pages.written. */
inline tell(me) {
  d_step { EMPTY(me) -> before = armings }
#ifdef DISARMS_FIRST
  disarm(me);
#endif
  d_step { say(me, "the listener: the cache is emptied"); cached = 0; invalidations++ }
#ifndef DISARMS_FIRST
  disarm(me);
#endif
  before = 0
}

inline returned(me) {
  d_step { assert(!cached || code[me] >= n); x = 0; armed = 0 }
}

inline safepoint(me) {
  load(me, FLAG + me, x, ACQUIRE);
  if
  :: x == 0 -> skip
  :: else ->
    rmw(me, FLAG + me, x, 0, VOLATILE);
    load(me, REQUESTED, request, VOLATILE);
    load(me, EPOCH, x, VOLATILE);
    if
    :: x != seen -> say(me, "arm callback: drops its write TLB"); tlb = 0; seen = x
    :: else
    fi;
    acquire_fence(me);
    store(me, ACKNOWLEDGED + me, request, RELEASE)
  fi;
  d_step { request = 0; x = 0 }
}

proctype Vcpu(byte me) {
  byte x, armed, before, n, request, seen;
  bit tlb;
#ifdef WEAK_W1
  load(me, ARMED, armed, OPAQUE); /* the compiler has hoisted it */
#endif
  do
  :: n < WRITES && mem[FLAG + me] -> safepoint(me)
  :: n < WRITES ->
    n++;
    store(me, RAM + me, n, OPAQUE);
    if
    :: tlb -> say(me, "its write TLB has the page")
    :: else ->
      load(me, LIVE, x, OPAQUE); /* B1 */
      if
      :: x -> skip
      :: else ->
#ifndef WEAK_W1
        load(me, ARMED, armed, VOLATILE); /* W1: SlotWatches.hold */
#endif
        if
        :: armed -> tell(me) /* the mark is beside the live bit: SlotWatches.mark */
        :: else -> rmw(me, LIVE, x, 1, RELEASE)
        fi
      fi;
#ifdef TLB_ALWAYS
      tlb = 1
#else
      load(me, LIVE, x, OPAQUE); /* LogSlot.isMarked */
      tlb = x
#endif
    fi;
#ifdef WEAK_W1
    d_step { assert(!cached || code[me] >= n); x = 0 }
#else
    returned(me)
#endif
  :: else -> break
  od;
  acquire_fence(me);
  store(me, OFFLINE + me, 1, RELEASE)
}

#ifdef DEVICE
/* HostWriter.mark, after the write. */
proctype Device(byte me) {
  byte x, armed, before, n;
  do
  :: n < WRITES ->
    n++;
    store(me, RAM + me, n, OPAQUE);
#ifdef LOOKS_BEFORE_MARK
    load(me, ARMED, armed, VOLATILE);
#endif
    rmw(me, HOST, x, 1, VOLATILE); /* B7 */
#ifndef LOOKS_BEFORE_MARK
#ifdef WEAK_W2
    load(me, ARMED, armed, OPAQUE);
#else
    load(me, ARMED, armed, VOLATILE); /* W2 */
#endif
#endif
    if
    :: armed -> tell(me)
    :: else
    fi;
    returned(me)
  :: else -> break
  od;
  store(me, OFFLINE + me, 1, RELEASE)
}
#define WAITS_FOR(vcpu) ((vcpu) == 0)
#else
#define WAITS_FOR(vcpu) true
#endif

inline barrier() {
  rmw(T, REQUESTED, number, number + 1, VOLATILE); /* S1 */
  number++;
  rmw(T, FLAG, x, 1, VOLATILE);
  rmw(T, FLAG + 1, x, 1, VOLATILE);
  await(T, (mem[ACKNOWLEDGED] >= number || mem[OFFLINE]));
  await(T, (!WAITS_FOR(1) || mem[ACKNOWLEDGED + 1] >= number || mem[OFFLINE + 1]));
  d_step { number = 0; x = 0 }
}

proctype Translator() {
  byte x, number, turn, first, second, before;
  do
  :: turn < TURNS ->
    turn++;
    say(T, "arms the page");
    atomic { arming++; armings++; rmw(T, ARMED, x, 1, VOLATILE) }
#ifndef NO_FIRST_BARRIER
    barrier();
#endif
    rmw(T, LIVE, x, 0, VOLATILE); /* B11 */
    store(T, EPOCH, turn, VOLATILE); /* S3 */
#ifndef NO_SECOND_BARRIER
    barrier();
#endif
    d_step {
      EMPTY(T) ->
      arming--;
#ifndef END_NOT_COUNTED
      armings++;
#endif
      before = invalidations
    }
    acquire_fence(T); /* the watch's lock was taken */
    load(T, RAM, first, OPAQUE);
    load(T, RAM + 1, second, OPAQUE);
    d_step {
      if
      :: invalidations == before ->
        say(T, "enters what it has read into the cache");
        cached = 1;
        code[0] = first;
        code[1] = second
      :: else
      fi;
      first = 0;
      second = 0;
      before = 0;
      x = 0
    }
  :: else -> break
  od
}

init {
  atomic {
    run Vcpu(0);
#ifdef DEVICE
    run Device(1);
#else
    run Vcpu(1);
#endif
    run Translator()
  }
}
