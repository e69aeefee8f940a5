/*
 * A change of slots under a running vCPU: an old slot goes, a new one comes for the same page of RAM.
 *
 * Classes: SlotSwap, AddedSlots, LeavingSlot, SlotRetirement, SlotTable, Slot, Collector, FetchedBits,
 * Takes, Handshake, VcpuState, and VcpuCursors of core. The vCPU looks up the table of slots and keeps
 * what it has found until its arm callback; it marks the slot that it has. A changer makes the swap,
 * waits for the grace period and retires the old slot. A client takes beside it, TAKES times, and once
 * after all have ended: then its copy has to equal RAM. After each take whose page was not given back it
 * has to have every write that was followed by an acknowledgement before the fetch began. No vCPU may
 * mark a slot that is retired, whose memory may be gone, or one that was not added after all.
 *
 * With ERRORS so many errors come, each in any step of the swap until the new slots are published, or of
 * its undoing: a tracker refuses, or there is no memory. The swap is undone, by the next call under the
 * lock where the undoing is cut short, and the change may be committed once more. With OWN the tracker
 * has vCPUs of its own, which it stops for the swap, and forgets its bits when it removes a slot (KVM);
 * without, a removed slot keeps them.
 *
 * With DEVICE a device that is in a read-side section takes the vCPU's place. It has no safepoints: no
 * barrier waits for it, so the promise of a take is for what it has marked before the fetch.
 *
 * Bounds: one writer with WRITES stores, one page, one change, one client. Left out: pages that are new or
 * go to the remover, chains of old slots; leaving.pml has rings and devices with a log of their own, and
 * host.pml T2, which refuses late marks by a device that is in no section.
 *
 * RUN pass 0
 * RUN pass 1
 * RUN pass 2 -DTAKES=1
 * RUN fail BUG_18 0
 * RUN fail NO_LAST_FETCH 0
 * RUN fail TAKES_MISS_OLD 0
 * RUN fail RETIRED_EARLY 0
 * RUN fail NO_EPOCH 0
 * RUN fail NOT_CARRIED 0
 * RUN fail NOT_ARMED 0
 * RUN fail GIVES_BACK_TO_OLD 0
 * RUN fail WEAK_T1 0
 * RUN fail WEAK_C2 0 -DTAKES=1 -DWRITES=2
 * RUN pass 0 -DERRORS=2 -DTAKES=1
 * RUN pass 1 -DERRORS=1 -DTAKES=1 -DWRITES=2
 * RUN pass 0 -DERRORS=2 -DTAKES=1 -DOWN
 * RUN pass 0 -DERRORS=1 -DDEVICE
 * RUN pass 1 -DERRORS=1 -DDEVICE -DTAKES=1 -DWRITES=2
 * RUN fail UNDONE_IS_CLEAN 0 -DERRORS=1 -DTAKES=1 -DWRITES=2
 * RUN fail UNDONE_STILL_LEAVES 0 -DERRORS=1 -DTAKES=1 -DWRITES=2
 * RUN fail UNDONE_NOT_STARTED 0 -DERRORS=1 -DTAKES=1 -DWRITES=2 -DOWN
 * RUN fail UNDONE_IN_PART 0 -DERRORS=2 -DTAKES=1 -DWRITES=2 -DOWN
 * RUN fail OUT_OF_LIST_FIRST 0 -DERRORS=2 -DTAKES=1 -DWRITES=2 -DOWN
 * RUN fail TABLE_BEFORE_PUBLISH 0 -DERRORS=1 -DTAKES=1 -DWRITES=2 -DDEVICE
 * RUN full 0 -DWRITES=4 -DTAKES=3
 * RUN full 1 -DTAKES=3
 * RUN full 2
 * RUN full 0 -DERRORS=3
 * RUN full 1 -DERRORS=2 -DTAKES=1
 * RUN full 2 -DERRORS=1 -DTAKES=1
 * RUN full 2 -DERRORS=1 -DTAKES=1 -DDEVICE
 * RUN full 0 -DERRORS=3 -DOWN
 */
#ifndef WRITES
#define WRITES 3
#endif
#ifndef TAKES
#define TAKES 2
#endif

#ifndef ERRORS
#define ERRORS 0
#endif

#define NT 3
#define V 0 /* thread: vCPU */
#define T 1 /* thread: client */
#define S 2 /* thread: changer */

#define RAM 0
#define LIVE 1 /* and 2: of the old slot and of the new one */
#define TABLE 3 /* which of them is in it */
#define EPOCH 4
#define REQUESTED 5
#define ACKNOWLEDGED 6
#define OFFLINE 7
#define NV 8

#define EARLY_LOAD(t, v) ((t) == V && ((v) == LIVE || (v) == LIVE + 1))

#define NONE_YET (2) /* the vCPU has no slot */

#include "memory.pml"

byte lock; /* 0: free; else the thread and 1 */
bit told[2]; /* FetchedBits of each slot */
bit view[2]; /* of the client, in each slot */
bit leaving; /* the old slot: SlotTable.leaving */
bit retired; /* the old slot: Slot.state */
bit changed; /* the changer has ended */
byte copied;
byte passed; /* the vCPU's writes from before its last acknowledgement */

bit current; /* the new slot: Slot.state */
bit armed; /* Collector.armed: the epoch is to move */
bit half; /* Collector.halfMade: a swap that is neither made nor undone */
bit gone; /* SlotSwap.gone: the old slot was removed from the tracker */
bit come; /* SlotSwap.come: the new one was added to it */
byte faults; /* errors that may come still */
#ifdef DEVICE
bit section; /* the device is in one */
bit device_ended;
#endif
#ifdef OWN
bit stop; /* the vCPU is to stand still: TrackerVcpus.pause */
bit stands;
bit guest[2]; /* the guest has the slot: SlotTracker.add */
bit logs[2]; /* SlotTracker.start */
#endif

inline take_lock(t) {
  d_step { lock == 0 -> lock = t + 1; ACQUIRE_(t) }
}

inline give_lock(t) {
  d_step { EMPTY(t) -> lock = 0 }
}

#ifdef OWN
/* The guest has one slot or the other, and a kernel marks. */
inline mark() {
  d_step {
    cursor = (guest[1] -> 1 : 0);
    assert(guest[cursor]);
    printf("T%d| # marks in slot %d\n", V, cursor);
    if :: logs[cursor] -> mem[LIVE + cursor] = 1 :: else fi
  }
}
#else
inline mark() {
  if
  :: cursor == NONE_YET -> load(V, TABLE, cursor, VOLATILE) /* T1, C2 */
  :: else
  fi;
  say1(V, "marks in slot", cursor);
  /* Slot.checkTakesMarks */
  assert(!(cursor == 0 && retired));
  assert(!(cursor == 1 && !current));
  load(V, LIVE + cursor, x, OPAQUE); /* B1 */
  if
  :: x -> say(V, "the page is marked already")
  :: else -> rmw(V, LIVE + cursor, x, 1, RELEASE) /* B4 */
  fi;
  x = 0
}
#endif

inline safepoint() {
  load(V, REQUESTED, request, VOLATILE);
  load(V, EPOCH, x, VOLATILE); /* S3 */
  if
  :: x != seen -> say(V, "arm callback: drops its slot"); cursor = NONE_YET; seen = x
  :: else
  fi;
  store(V, ACKNOWLEDGED, request, RELEASE); /* S2 */
  d_step { passed = n; request = 0; x = 0 }
}

#ifdef DEVICE
/* HostWriter.mark, and the write before it, in a section in which the slot was looked up. */
proctype Device() {
  byte x, slot, n;
  do
  :: n < WRITES ->
    n++;
    say(V, "begins a section");
    d_step { EMPTY(V) -> section = 1 } /* U1: rcu.pml */
    load(V, TABLE, slot, VOLATILE); /* T1, C2 */
    store(V, RAM, n, OPAQUE);
    say1(V, "marks in slot", slot);
    assert(!(slot == 0 && retired) && !(slot == 1 && !current));
    rmw(V, LIVE + slot, x, 1, VOLATILE); /* B7: HostBitmap.markAlways */
    assert(!(slot == 0 && retired) && !(slot == 1 && !current)); /* T2 */
    passed = n;
    d_step { EMPTY(V) -> section = 0; slot = 0; x = 0 } /* U2 */
  :: else -> break
  od;
  n = 0;
  device_ended = 1
}
#define WRITER_ENDED device_ended
#else
#define WRITER_ENDED (mem[OFFLINE] == 1)
#endif

proctype Vcpu() {
  byte x, request, seen, cursor, n;
  cursor = NONE_YET;
  do
#ifdef OWN
  :: n < WRITES && stop -> d_step { EMPTY(V) -> stands = 1; passed = n }; d_step { stop == 0 -> stands = 0 }
#endif
  :: n < WRITES && mem[REQUESTED] > mem[ACKNOWLEDGED] -> safepoint()
  :: n < WRITES ->
    n++;
    if
    :: store(V, RAM, n, OPAQUE); mark()
    :: mark(); store(V, RAM, n, OPAQUE)
    fi
  :: else -> break
  od;
  x = 0;
  say(V, "goes offline");
  store(V, OFFLINE, 1, RELEASE); /* S4 */
  d_step { EMPTY(V) -> passed = n; n = 0; cursor = 0; seen = 0 }
}

#ifdef DEVICE
#define VCPU_MARKS false /* the words LIVE are those of HostBitmap */
#else
#define VCPU_MARKS true
#endif

/* Handshake.barrier; a grace period waits for vCPUs in the same way. */
#ifdef DEVICE
inline barrier(me) {
  full_fence(me)
}

inline synchronize(me) {
  await(me, section == 0)
}
#else
#define synchronize(me) barrier(me)
inline barrier(me) {
  rmw(me, REQUESTED, number, number + 1, VOLATILE); /* S1 */
  number++;
  await(me, mem[ACKNOWLEDGED] >= number || mem[OFFLINE] == 1);
  number = 0
}
#endif

/* FetchedBits.collect; a slot that is leaving tells the new one (LeavingSlot.tell). */
inline fetch(me, slot) {
#ifdef DEVICE
  rmw(me, LIVE + slot, x, 0, VOLATILE); /* B10: HostBitmap.drain, and what it takes out is told */
  d_step {
    if
    :: x ->
      printf("T%d| # tells of the page, found in slot %d\n", me, slot);
      if
      :: slot == 0 && leaving -> view[1] = 1
      :: else -> view[slot] = 1
      fi
    :: else
    fi;
    x = 0
  }
#else
  load(me, LIVE + slot, x, ACQUIRE); /* B6 */
  d_step {
    if
    :: x && !told[slot] ->
      printf("T%d| # tells of the page, found in slot %d\n", me, slot);
      if
      :: slot == 0 && leaving -> view[1] = 1
      :: else -> view[slot] = 1
      fi;
      told[slot] = 1
    :: else
    fi;
    x = 0
  }
#endif
}

/* FetchedBits.clear, and Collector.settleEpoch before the lock is given back. */
inline clear(me, slot) {
  if
  :: told[slot] && VCPU_MARKS -> rmw(me, LIVE + slot, x, 0, VOLATILE); told[slot] = 0; x = 0 /* B11 */
  :: else
  fi
}

inline pages_armed(me) {
  rmw(me, EPOCH, x, x + 1, VOLATILE); /* S3 */
  x = 0
}

/* Where a step of the change, or of its undoing, may be cut short. */
inline error_perhaps(me) {
#if ERRORS > 0
  if
  :: me == S && faults > 0 -> say(S, "an error"); faults--; goto cut
  :: true
  fi
#else
  skip
#endif
}

/* SlotSwap.undo: what was removed is there again, with every page dirty. */
inline undo(me) {
  say(me, "undoes the swap");
#ifdef TABLE_BEFORE_PUBLISH
  store(me, TABLE, 0, VOLATILE);
#endif
  current = 0; /* Slot.notAdded */
#ifndef UNDONE_STILL_LEAVES
  leaving = 0; /* LeavingSlot.comeBack */
#endif
  error_perhaps(me);
  view[1] = 0; /* ClientView.drop */
  error_perhaps(me);
  if
  :: come ->
#ifdef OWN
    guest[1] = 0; /* SlotTracker.remove */
    error_perhaps(me);
#endif
    come = 0
  :: else
  fi;
  if
  :: gone ->
#ifdef OUT_OF_LIST_FIRST
    gone = 0;
#endif
#ifndef UNDONE_IS_CLEAN
    view[0] = 1;
#endif
    told[0] = 1; /* FetchedBits.countAllAsTold */
    error_perhaps(me);
#ifdef OWN
    guest[0] = 1; /* SlotTracker.add */
    error_perhaps(me);
#ifndef UNDONE_NOT_STARTED
    d_step { logs[0] = 1; mem[LIVE] = 1 } /* SlotTracker.start */
#endif
    error_perhaps(me);
#endif
    gone = 0
  :: else
  fi
}

/* Collector.settle, first of all that is done under the lock: the epoch, then what is half made. */
inline settle(me) {
  settle_epoch(me);
  if
  :: half -> undo(me); half = 0
  :: else
  fi
}

inline settle_epoch(me) {
  if
  :: armed -> pages_armed(me); armed = 0 /* C2, S3: after the swap */
  :: else
  fi
}

/* SlotSwap.swap and retireAfterGracePeriod. */
proctype Changer() {
  byte x, number;
#if ERRORS > 0
  bit undoing;
#endif
commit:
#ifdef OWN
  stop = 1; /* SlotSwap.stopVcpus */
  await(S, stands || mem[OFFLINE] == 1);
#endif
  take_lock(S);
  settle(S);
#if ERRORS > 0
  half = 1; /* Collector.halfMade */
#endif
  /* SlotSwap.apply */
  error_perhaps(S);
  fetch(S, 0);
  error_perhaps(S);
#if ERRORS > 0
  gone = 1;
#endif
#ifdef OWN
  error_perhaps(S);
  d_step { guest[0] = 0; logs[0] = 0; mem[LIVE] = 0 } /* SlotTracker.remove */
#endif
  error_perhaps(S);
  /* The new slot: no page is armed, and all count as told. */
#ifdef WEAK_T1
  current = 1;
  store(S, TABLE, 1, VOLATILE);
  full_fence(S);
#endif
  say(S, "makes the new slot");
#if ERRORS > 0
  come = 1;
#endif
#ifdef OWN
  guest[1] = 1;
  error_perhaps(S);
  logs[1] = 1;
#endif
#ifndef DEVICE
  mem[LIVE + 1] = 1;
  told[1] = 1;
#endif
  error_perhaps(S);
#ifndef NOT_CARRIED
  view[1] = view[0]; /* AddedSlots.start */
#endif
  error_perhaps(S);
#ifndef NOT_ARMED
  clear(S, 1);
#endif
  error_perhaps(S);
  /* SlotSwap.publish */
  leaving = 1;
  error_perhaps(S);
  current = 1; /* Slot.added */
#ifdef TABLE_BEFORE_PUBLISH
  store(S, TABLE, 1, VOLATILE);
#endif
  error_perhaps(S); /* thrown by the embedder's callback, which has published nothing then */
  /* From here on it is made; what is left is tidied up (SlotSwap.tidyUp). */
#ifdef WEAK_C2
  pages_armed(S);
#endif
#if !defined(WEAK_T1) && !defined(TABLE_BEFORE_PUBLISH)
  store(S, TABLE, 1, VOLATILE); /* T1: SlotTable.set */
#endif
#ifdef RETIRED_EARLY
  retired = 1;
#endif
  view[0] = 0; /* the client knows it no more */
#if !defined(NO_EPOCH) && !defined(WEAK_C2)
  armed = 1; /* Collector.willArm */
#endif
#if ERRORS > 0
  d_step { half = 0; gone = 0; come = 0 }
#endif
  settle_epoch(S);
  give_lock(S);
  say(S, "has made the swap");
#ifdef OWN
  stop = 0;
#endif
  goto made;
#if ERRORS > 0
cut:
  x = 0;
  if
  :: !undoing ->
    /* By the block that ends the swap. */
    undoing = 1;
    settle(S)
  :: else
  fi;
  settle_epoch(S);
#ifdef UNDONE_IN_PART
  half = 0;
#endif
  give_lock(S);
  /* Once more, if it was cut short, for SlotSwap.giveUp; another may have come first. */
  take_lock(S);
  settle(S);
  settle_epoch(S);
  give_lock(S);
#ifdef OWN
  stop = 0;
#endif
  undoing = 0;
  say(S, "has given up");
  if
  :: faults = 0; goto commit
  :: goto over
  fi;
#endif
made:
  synchronize(S); /* Rcu.synchronize */
  take_lock(S);
  /* SlotRetirement.retire */
  say(S, "retires the old slot");
  retired = 1; /* T2 */
#if !defined(BUG_18) && !defined(NO_LAST_FETCH)
#ifndef OWN
  fetch(S, 0);
#endif
#endif
  leaving = 0;
  give_lock(S);
over:
  changed = 1
}

/* Takes.take: of everything. */
inline take() {
  say(T, "takes");
  due = (EMPTY(V) -> passed : 0);
  take_lock(T);
  settle(T);
  load(T, TABLE, slot, VOLATILE);
  fetch(T, slot);
#if !defined(BUG_18) && !defined(TAKES_MISS_OLD)
  if :: leaving -> fetch(T, 0) :: else fi;
#endif
  d_step { batch = view[slot]; view[slot] = 0 }
  clear(T, slot);
  pages_armed(T);
  give_lock(T);
  barrier(T);
  if
  :: batch -> say(T, "reads the page"); load(T, RAM, copied, OPAQUE); assert(copied >= due)
  :: batch ->
    take_lock(T);
    settle(T);
    say(T, "gives the page back");
    d_step {
#ifdef GIVES_BACK_TO_OLD
      view[slot] = 1;
#else
      /* TakenPages.giveBack: a page of an old slot is carried. */
      if
      :: slot == 0 && mem[TABLE] == 1 -> view[1] = 1
      :: else -> view[slot] = 1
      fi
#endif
    };
    give_lock(T)
  :: else -> assert(copied >= due)
  fi;
  d_step { batch = 0; slot = 0; due = 0 }
}

proctype Client() {
  byte x, number, slot, takes, due;
  bit batch;
  do
  :: takes < TAKES -> takes++; take()
  :: else -> break
  od;
  x = 0;
  await(T, WRITER_ENDED && changed);
  say(T, "all have ended: the last take");
  take_lock(T);
  load(T, TABLE, slot, VOLATILE);
  fetch(T, slot);
  if :: view[slot] -> load(T, RAM, copied, OPAQUE) :: else fi;
  assert(copied == mem[RAM]);
#if ERRORS > 0
  goto over;
cut:
  assert(false); /* the errors are the changer's */
over:
  skip
#endif
}

init {
  atomic {
    faults = ERRORS;
#ifdef OWN
    guest[0] = 1;
    logs[0] = 1;
#endif
#ifdef DEVICE
    run Device();
#else
    run Vcpu();
#endif
    run Client();
    run Changer()
  }
}
