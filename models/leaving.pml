/*
 * What else is in a slot that is replaced: entries of a vCPU's ring that name it, and the log of a device,
 * which may be closed meanwhile. swap.pml has the change itself.
 *
 * Classes: SlotSwap, SlotRetirement, LeavingSlot, SlotTable.ofEntry, RingNews, RingTracker, VcpuRing,
 * DeviceLogs, DeviceLog, FetchedBits, Takes. A writer writes one page of RAM, by the slot that it has. A
 * changer replaces that slot, waits for the grace period and retires it. A client takes beside it, TAKES
 * times, and once after all have ended: then its copy has to equal RAM. After each take it has to have
 * every write that was found by then: of a vCPU, those followed by an acknowledgement before the fetch.
 *
 * The writer is a vCPU with a ring of one entry, which names the slot; the second report before a harvest
 * goes to the bitmap. The page has another number in the new slot, so an entry says nothing without its slot.
 *
 * With DEVICE it is a device with a log of its own, one bit per slot, which it sets after each write, in a
 * section in which it has looked up the slot. With CLOSED its registration is closed while it writes: it is
 * not called any more, keeps the slot that it has, and goes on until it is detached, after a grace period.
 * It may write to no slot that was released.
 *
 * Bounds: one writer with WRITES writes, one page, one change, one client. Left out: several rings, what is
 * under way in them (report.pml), vCPUs that are closed (lifecycle.pml, report.pml), a client that starts
 * or ends beside the change, errors of devices, and an undoing (swap.pml), which ends the device's new part.
 *
 * RUN pass 0
 * RUN pass 1 -DWRITES=2
 * RUN pass 2 -DTAKES=1 -DWRITES=2
 * RUN pass 0 -DDEVICE
 * RUN pass 1 -DDEVICE
 * RUN pass 0 -DDEVICE -DCLOSED
 * RUN pass 1 -DDEVICE -DCLOSED -DWRITES=2
 * RUN fail NO_LAST_REAP 0
 * RUN fail ENTRY_BY_NUMBER 0
 * RUN fail LEAVING_NOT_FOUND 0
 * RUN fail NOT_TOLD_AGAIN 0 -DDEVICE
 * RUN fail NO_LAST_COLLECT 0 -DDEVICE
 * RUN fail NOT_HELD 0 -DDEVICE -DCLOSED
 * RUN fail LEAVES_ITS_BITS 0 -DDEVICE -DCLOSED
 * RUN same NO_REAP_AT_SWAP 0
 * RUN full 0 -DTAKES=3
 * RUN full 1
 * RUN full 2
 * RUN full 1 -DDEVICE -DTAKES=3
 * RUN full 2 -DDEVICE
 * RUN full 2 -DDEVICE -DCLOSED
 */
#ifndef WRITES
#define WRITES 3
#endif
#ifndef TAKES
#define TAKES 2
#endif

#ifdef CLOSED
#define NT 4
#else
#define NT 3
#endif
#define W 0 /* thread: writer */
#define T 1 /* thread: client */
#define S 2 /* thread: changer */
#define R 3 /* thread: RCU */

#define RAM 0
#define LIVE 1 /* and 2: of the old slot and of the new one; of a device, the bits of its log */
#define REPORTED 3 /* and 4: ReportedBitmap, the flag */
#define ENTRY 5 /* 0, or the slot and 1 */
#define TABLE 6
#define EPOCH 7
#define REQUESTED 8
#define ACKNOWLEDGED 9
#define OFFLINE 10
#define NV 11

#define EARLY_LOAD(t, v) ((t) == W && ((v) == LIVE || (v) == LIVE + 1))

#define NONE_YET (2)

#include "memory.pml"

byte lock; /* 0: free; else the thread and 1 */
bit told[2]; /* FetchedBits of each slot: of the tracker, or of the device */
bit view[2]; /* of the client, in each slot */
bit leaving; /* the old slot: SlotTable.leaving */
bit changed; /* the changer has ended */
byte copied;
byte passed;
bit ended; /* the writer */
bit section; /* the device is in one */
bit writes; /* or in a write, without one */
#ifdef CLOSED
bit closed; /* DeviceLog.closed */
bit left; /* and it has left */
bit detached;
bit held; /* the old slot: SlotViews.hold */
bit released;
#else
#define closed false
#define left false
#endif

inline take_lock(t) {
  d_step { lock == 0 -> lock = t + 1; ACQUIRE_(t) }
}

inline give_lock(t) {
  d_step { EMPTY(t) -> lock = 0 }
}

/* SlotViews.tell; a slot that is leaving tells the new one (LeavingSlot.tell). */
inline tell(me, slot) {
  d_step {
    printf("T%d| # tells of the page, found in slot %d\n", me, slot);
    if
    :: slot == 0 && mem[TABLE] == 1 -> view[1] = 1
    :: else -> view[slot] = 1
    fi
  }
}

#ifndef DEVICE
/* VcpuRing.mark. */
inline mark() {
  if
  :: slot == NONE_YET -> load(W, TABLE, slot, VOLATILE) /* T1, C2 */
  :: else
  fi;
  say1(W, "marks in slot", slot);
  load(W, LIVE + slot, x, OPAQUE); /* B1 */
  if
  :: x -> say(W, "the page is marked already")
  :: else ->
    rmw(W, LIVE + slot, x, 1, RELEASE); /* B4 */
    load(W, ENTRY, x, ACQUIRE); /* R4 */
    if
    :: x == 0 -> store(W, ENTRY, slot + 1, RELEASE) /* R1: RingProducer.push */
    :: else -> say(W, "finds its ring full"); rmw(W, REPORTED + slot, x, 1, VOLATILE) /* B13 */
    fi
  fi;
  x = 0
}

inline safepoint() {
  load(W, REQUESTED, request, VOLATILE);
  load(W, EPOCH, x, VOLATILE); /* S3 */
  if
  :: x != seen -> say(W, "arm callback: drops its slot"); slot = NONE_YET; seen = x
  :: else
  fi;
  store(W, ACKNOWLEDGED, request, RELEASE); /* S2 */
  d_step { passed = n; request = 0; x = 0 }
}

proctype Vcpu() {
  byte x, request, seen, slot, n;
  slot = NONE_YET;
  do
  :: n < WRITES && mem[REQUESTED] > mem[ACKNOWLEDGED] -> safepoint()
  :: n < WRITES ->
    n++;
    if
    :: store(W, RAM, n, OPAQUE); mark()
    :: mark(); store(W, RAM, n, OPAQUE)
    fi
  :: else -> break
  od;
  x = 0;
  say(W, "goes offline");
  store(W, OFFLINE, 1, RELEASE); /* S4 */
  d_step { EMPTY(W) -> passed = n; ended = 1; n = 0; slot = 0; seen = 0 }
}

inline barrier(me) {
  rmw(me, REQUESTED, number, number + 1, VOLATILE); /* S1 */
  number++;
  await(me, mem[ACKNOWLEDGED] >= number || mem[OFFLINE] == 1);
  number = 0
}
#define synchronize(me) barrier(me)

/* Collector.reap: the entry is armed (RingTracker.arm), given back, and told of (RingNews). */
inline reap(me) {
  load(me, ENTRY, x, ACQUIRE); /* R1 */
  if
  :: x ->
    entry = x - 1;
    say1(me, "harvests an entry of slot", entry);
    rmw(me, LIVE + entry, x, 0, VOLATILE); /* B11 */
    store(me, ENTRY, 0, RELEASE); /* R4 */
    /* SlotTable.ofEntry: a slot of now, or one that is leaving; else it is of a slot that has gone */
    if
#ifdef ENTRY_BY_NUMBER
    :: entry == 0 && mem[TABLE] == 1 -> say(me, "takes it for another page of the new slot")
#elif defined(LEAVING_NOT_FOUND)
    :: entry == 0 && mem[TABLE] == 1 -> say(me, "knows no such slot")
#else
    :: entry == 0 && mem[TABLE] == 1 && !leaving -> say(me, "knows no such slot")
#endif
    :: else -> tell(me, entry)
    fi;
    d_step { entry = 0; armed = 1 }
  :: else
  fi;
  x = 0
}

/* ReportedBitmap.fetchReported. */
inline fetch(me, slot) {
  rmw(me, REPORTED + slot, x, 0, VOLATILE); /* B13 */
  if
  :: x ->
    load(me, LIVE + slot, x, ACQUIRE); /* B6 */
    if
    :: x && !told[slot] -> tell(me, slot); told[slot] = 1
    :: else
    fi
  :: else
  fi;
  x = 0
}

/* FetchedBits.clear. */
inline clear(me, slot) {
  if
  :: told[slot] -> rmw(me, LIVE + slot, x, 0, VOLATILE); d_step { told[slot] = 0; armed = 1; x = 0 } /* B11 */
  :: else
  fi
}

inline settle_epoch(me) {
  if
  :: armed -> rmw(me, EPOCH, x, x + 1, VOLATILE); d_step { armed = 0; x = 0 } /* S3 */
  :: else
  fi
}
#else
/* Its write, and its own bit after it. */
proctype Device() {
  byte x, slot, n;
  do
  :: n < WRITES ->
    n++;
#ifdef CLOSED
    if
    :: detached -> break
    :: d_step { !detached -> writes = 1 } /* detach waits for what is under way */
    fi;
#else
    d_step { EMPTY(W) -> section = 1 }
    load(W, TABLE, slot, VOLATILE); /* T1, C2 */
#endif
    say1(W, "writes, in slot", slot);
#ifdef CLOSED
    assert(!released);
#endif
    store(W, RAM, n, OPAQUE);
    rmw(W, LIVE + slot, x, 1, VOLATILE);
    d_step { EMPTY(W) -> if :: !closed -> passed = n :: else fi; section = 0; writes = 0; slot = 0; x = 0 }
  :: else -> break
  od;
  n = 0;
  EMPTY(W) -> ended = 1
}

inline barrier(me) {
  full_fence(me)
}

inline synchronize(me) {
  await(me, section == 0)
}

inline reap(me) {
  skip
}

/* DeviceLog.collect, into FetchedBits: nothing of one that is closed. */
inline fetch(me, slot) {
  if
  :: closed -> skip
  :: else -> collect(me, slot)
  fi
}

inline collect(me, slot) {
  load(me, LIVE + slot, x, ACQUIRE);
  if
#ifdef NOT_TOLD_AGAIN
  :: x && !told[slot] -> tell(me, slot); told[slot] = 1
#else
  /* What is not armed in a slot that leaves is told each time (FetchedBits.tellAgain). */
  :: x && (!told[slot] || slot == 0 && mem[TABLE] == 1) -> tell(me, slot); told[slot] = 1
#endif
  :: else
  fi;
  x = 0
}

/* DeviceLog.clear. */
inline clear(me, slot) {
  if
  :: told[slot] && !closed -> rmw(me, LIVE + slot, x, 0, VOLATILE); d_step { told[slot] = 0; x = 0 }
  :: else
  fi
}

inline settle_epoch(me) {
  skip
}

#ifdef CLOSED
/* DeviceLogs.close, and the task in which the device leaves. */
proctype Rcu() {
  byte x;
  d_step { EMPTY(R) -> closed = 1 } /* M1 */
  say(R, "the registration is closed");
  await(R, section == 0);
  d_step { !writes -> detached = 1 } /* Tracker.detach */
  say(R, "the device was detached");
  take_lock(R);
#ifndef LEAVES_ITS_BITS
  /* DeviceLog.leave */
  collect(R, 0);
  if :: told[0] -> tell(R, 0) :: else fi; /* FetchedBits.tellAgain: nothing was cleared since it was closed */
#endif
  d_step { left = 1; if :: held -> held = 0; released = 1 :: else fi } /* SlotViews.letGo, releaseUnused */
  give_lock(R)
}
#endif
#endif

/* SlotSwap.swap, retireAfterGracePeriod. */
proctype Changer() {
  byte x, number, entry;
  bit armed;
  take_lock(S);
#ifndef NO_REAP_AT_SWAP
  reap(S);
#endif
  fetch(S, 0);
  say(S, "makes the new slot");
#ifndef DEVICE
  mem[LIVE + 1] = 1;
  told[1] = 1;
#endif
  view[1] = view[0]; /* AddedSlots.start */
#ifndef DEVICE
  clear(S, 1);
#endif
  leaving = 1;
  store(S, TABLE, 1, VOLATILE); /* T1 */
  view[0] = 0;
#ifndef DEVICE
  armed = 1;
#endif
  settle_epoch(S);
  give_lock(S);
  say(S, "has made the swap");
  synchronize(S);
  take_lock(S);
  /* SlotRetirement.retire */
  say(S, "retires the old slot");
#ifndef NO_LAST_REAP
  reap(S);
#endif
#ifdef DEVICE
  /* DeviceLog.retire */
  if
  :: closed && !left ->
#ifdef CLOSED
#ifdef NOT_HELD
    released = 1
#else
    say(S, "the device has not left: the slot is kept"); held = 1
#endif
#else
    skip
#endif
  :: closed && left -> skip
  :: else ->
#ifdef NO_LAST_COLLECT
    skip
#else
    fetch(S, 0)
#endif
  fi;
#else
  fetch(S, 0);
#endif
  leaving = 0;
  settle_epoch(S);
  give_lock(S);
  changed = 1
}

/* Takes.take: of everything. */
inline take() {
  say(T, "takes");
  due = (EMPTY(W) -> passed : 0);
#ifdef CLOSED
  due = 0; /* what a closed device has written comes when it leaves */
#endif
  take_lock(T);
  load(T, TABLE, slot, VOLATILE);
  reap(T);
  fetch(T, slot);
  if :: leaving -> fetch(T, 0) :: else fi;
  d_step { batch = view[slot]; view[slot] = 0 }
  clear(T, slot);
  settle_epoch(T);
  give_lock(T);
  barrier(T);
  if
  :: batch -> say(T, "reads the page"); load(T, RAM, copied, OPAQUE)
  :: else
  fi;
  assert(copied >= due);
  d_step { batch = 0; slot = 0; due = 0 }
}

#ifdef CLOSED
#define ALL_ENDED (ended && changed && left)
#else
#define ALL_ENDED (ended && changed)
#endif

proctype Client() {
  byte x, number, slot, entry, takes, due;
  bit batch, armed;
  do
  :: takes < TAKES -> takes++; take()
  :: else -> break
  od;
  await(T, ALL_ENDED);
  say(T, "all have ended: the last take");
  take();
  assert(copied == mem[RAM])
}

init {
  atomic {
#ifdef DEVICE
    run Device();
#else
    run Vcpu();
#endif
#ifdef CLOSED
    run Rcu();
#endif
    run Client();
    run Changer()
  }
}
