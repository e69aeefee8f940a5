/*
 * A change of slots under a running vCPU: an old slot goes, a new one comes for the same page of RAM.
 *
 * Classes: SlotSwap, AddedSlots, LeavingSlot, SlotRetirement, SlotTable, Slot, Collector, FetchedBits,
 * Takes, Handshake, VcpuState, and VcpuCursors of core. The vCPU looks up the table of slots and keeps
 * what it has found until its arm callback; it marks the slot that it has. A changer makes the swap,
 * waits for the grace period and retires the old slot. A client takes beside it, TAKES times, and once
 * after all have ended: then its copy has to equal RAM. After each take whose page was not given back it
 * has to have every write that was followed by an acknowledgement before the fetch began. No vCPU may mark a slot that is retired, whose
 * memory may be gone.
 *
 * Bounds: one vCPU with WRITES stores, one page, one change, one client. Left out: errors in the change
 * and its undoing, pages that are new or go to the remover, chains of old slots, rings, and writers
 * without a vCPU (host.pml has T2, which refuses their late marks).
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
 * RUN full 0 -DWRITES=4 -DTAKES=3
 * RUN full 1 -DTAKES=3
 * RUN full 2
 */
#ifndef WRITES
#define WRITES 3
#endif
#ifndef TAKES
#define TAKES 2
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

inline take_lock(t) {
  d_step { lock == 0 -> lock = t + 1; ACQUIRE_(t) }
}

inline give_lock(t) {
  d_step { EMPTY(t) -> lock = 0 }
}

inline mark() {
  if
  :: cursor == NONE_YET -> load(V, TABLE, cursor, VOLATILE) /* T1, C2 */
  :: else
  fi;
  say1(V, "marks in slot", cursor);
  assert(!(cursor == 0 && retired));
  load(V, LIVE + cursor, x, OPAQUE); /* B1 */
  if
  :: x -> say(V, "the page is marked already")
  :: else -> rmw(V, LIVE + cursor, x, 1, RELEASE) /* B4 */
  fi;
  x = 0
}

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

proctype Vcpu() {
  byte x, request, seen, cursor, n;
  cursor = NONE_YET;
  do
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

/* Handshake.barrier; a grace period waits for vCPUs in the same way. */
inline barrier(me) {
  rmw(me, REQUESTED, number, number + 1, VOLATILE); /* S1 */
  number++;
  await(me, mem[ACKNOWLEDGED] >= number || mem[OFFLINE] == 1);
  number = 0
}

/* FetchedBits.collect; a slot that is leaving tells the new one (LeavingSlot.tell). */
inline fetch(me, slot) {
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
}

/* FetchedBits.clear, and Collector.settleEpoch before the lock is given back. */
inline clear(me, slot) {
  if
  :: told[slot] -> rmw(me, LIVE + slot, x, 0, VOLATILE); told[slot] = 0; x = 0 /* B11 */
  :: else
  fi
}

inline pages_armed(me) {
  rmw(me, EPOCH, x, x + 1, VOLATILE); /* S3 */
  x = 0
}

/* SlotSwap.commit. */
proctype Changer() {
  byte x, number;
  take_lock(S);
  fetch(S, 0);
  /* The new slot: no page is armed, and all count as told. */
#ifdef WEAK_T1
  store(S, TABLE, 1, VOLATILE);
  full_fence(S);
#endif
  say(S, "makes the new slot");
  mem[LIVE + 1] = 1;
  told[1] = 1;
#ifndef NOT_CARRIED
  view[1] = view[0]; /* AddedSlots.start */
#endif
#ifndef NOT_ARMED
  clear(S, 1);
#endif
  leaving = 1;
#ifndef WEAK_T1
  store(S, TABLE, 1, VOLATILE); /* T1: SlotTable.set */
#endif
#ifdef RETIRED_EARLY
  retired = 1;
#endif
  view[0] = 0; /* tidyUp: the client knows it no more */
#ifndef NO_EPOCH
  pages_armed(S); /* C2, S3: after the swap */
#endif
  give_lock(S);
  say(S, "has made the swap");
  barrier(S); /* Rcu.synchronize */
  take_lock(S);
  /* SlotRetirement.retire */
  say(S, "retires the old slot");
  retired = 1; /* T2 */
#if !defined(BUG_18) && !defined(NO_LAST_FETCH)
  fetch(S, 0);
#endif
  leaving = 0;
  give_lock(S);
  changed = 1
}

/* Takes.take: of everything. */
inline take() {
  say(T, "takes");
  due = (EMPTY(V) -> passed : 0);
  take_lock(T);
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
  await(T, mem[OFFLINE] == 1 && changed);
  say(T, "all have ended: the last take");
  take_lock(T);
  fetch(T, 1);
  if :: view[1] -> load(T, RAM, copied, OPAQUE) :: else fi;
  assert(copied == mem[RAM])
}

init {
  atomic {
    run Vcpu();
    run Client();
    run Changer()
  }
}
