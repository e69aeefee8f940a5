/*
 * A vCPU that is added, comes online, goes offline, dies or is closed by another thread, beside takes; and
 * vCPUs whose threads take themselves.
 *
 * Classes: VcpuGroup, VcpuOwner, VcpuState, LogVcpu, Handshake, Takes. A runner adds a vCPU and runs it in
 * SESSIONS sessions, in any of which its thread may die. A closer, thread 1, closes it at any moment, if
 * nobody has it or its thread is dead. A client takes TAKES times beside them, and once after they have
 * ended: then its copy has to equal RAM. With TWO a second client does the same. A wait that never ends
 * is an invalid end state.
 *
 * With ASKING there are two vCPUs instead, each of which writes and takes in turn: each waits for the
 * other, and is offline meanwhile.
 *
 * Bounds: one page; a take of everything, which clears as it tells. Left out: rings, which are harvested
 * as a vCPU leaves (report.pml), tasks, pauses, a close that an error cuts short.
 *
 * RUN pass 0
 * RUN pass 1 -DSESSIONS=1
 * RUN pass 2 -DSESSIONS=1 -DTAKES=1
 * RUN pass 0 -DTWO -DSESSIONS=1 -DTAKES=1
 * RUN pass 0 -DASKING
 * RUN pass 1 -DASKING -DTAKES=1
 * RUN fail WEAK_S7 0
 * RUN fail WEAK_S8 0
 * RUN fail NO_SECOND_LOOK 0
 * RUN fail DEAD_NOT_SEEN 0
 * RUN fail BUG_7 0 -DASKING
 * RUN full 1
 * RUN full 2 -DSESSIONS=1
 * RUN full 1 -DTWO -DSESSIONS=1 -DTAKES=1
 * RUN full 2 -DASKING
 */
#ifndef SESSIONS
#define SESSIONS 2
#endif
#ifndef TAKES
#define TAKES 2
#endif

#ifdef ASKING
#define NT 2 /* vCPUs */
#else
#define A 0 /* thread: vCPU 0 */
#define B 1 /* thread: thread 1 */
#ifdef TWO
#define NT 4
#else
#define NT 3
#endif
/* thread 2: client; thread 3: other client */
#endif

#define RAM 0 /* and 1 */
#define LIVE 2
#define REQUESTED 3
#define FLAG 4 /* and 5: VcpuState.pending */
#define ACKNOWLEDGED 6 /* and 7 */
#define ONLINE 8 /* and 9 */
#define LISTED 10 /* VcpuGroup.vcpus */
#define OWNER 11 /* VcpuOwner.thread: 0, or a thread and 1 */
#define SHUT 12
#define NV 13

#define EARLY_LOAD(t, v) ((v) == LIVE)

#include "memory.pml"

byte lock; /* of the collector: 0, or the thread and 1 */
bit view[4]; /* of the clients, by thread */
bit dead; /* the runner */
byte ended;

inline take_lock(t) {
  d_step { lock == 0 -> lock = t + 1; ACQUIRE_(t) }
}

inline give_lock(t) {
  d_step { EMPTY(t) -> lock = 0 }
}

inline acknowledge(me) {
  load(me, REQUESTED, x, VOLATILE); /* S1 */
  acquire_fence(me);
  store(me, ACKNOWLEDGED + me, x, RELEASE); /* S2 */
  x = 0
}

/* VcpuState.becomeOnline. */
inline become_online(me) {
  store(me, ONLINE + me, 1, RELEASE);
  full_fence(me); /* S5 */
  acknowledge(me)
}

inline set_offline(me) {
  acquire_fence(me);
  store(me, ONLINE + me, 0, RELEASE) /* S4 */
}

inline mark(me) {
  load(me, LIVE, x, OPAQUE); /* B1 */
  if
  :: x -> say(me, "the page is marked already")
  :: else -> rmw(me, LIVE, x, 1, RELEASE) /* B4 */
  fi;
  x = 0
}

inline write(me) {
  n++;
  if
  :: store(me, RAM + me, n, OPAQUE); mark(me)
  :: mark(me); store(me, RAM + me, n, OPAQUE)
  fi
}

inline safepoint(me) {
  load(me, FLAG + me, x, ACQUIRE); /* S2 */
  if
  :: x == 0 -> skip
  :: else -> rmw(me, FLAG + me, x, 0, VOLATILE); acknowledge(me)
  fi;
  x = 0
}

/* Handshake.request and await, of one vCPU. */
inline ask(me, vcpu) {
  rmw(me, FLAG + vcpu, x, 1, VOLATILE); /* S2 */
  x = 0;
#ifdef DEAD_NOT_SEEN
  await(me, mem[ACKNOWLEDGED + vcpu] >= number || mem[ONLINE + vcpu] == 0)
#else
  await(me, mem[ACKNOWLEDGED + vcpu] >= number || mem[ONLINE + vcpu] == 0 || dead)
#endif
}

/* Takes.take, without the barrier. */
inline fetch_and_clear(me) {
  take_lock(me);
  say(me, "takes");
  load(me, LIVE, x, ACQUIRE);
  if
  :: x ->
    d_step { view[0] = 1; view[1] = 1; view[2] = 1; view[3] = 1 };
    rmw(me, LIVE, x, 0, VOLATILE) /* B14 */
  :: else
  fi;
  d_step { x = 0; batch = view[me]; view[me] = 0 };
  give_lock(me);
  rmw(me, REQUESTED, number, number + 1, VOLATILE); /* S1 */
  number++
}

inline read_page(me) {
  if
  :: batch -> say(me, "reads the page"); load(me, RAM, copied[0], OPAQUE); load(me, RAM + 1, copied[1], OPAQUE)
  :: else
  fi;
  d_step { batch = 0; number = 0 }
}

#ifdef ASKING
proctype Vcpu(byte me) {
  byte x, n, takes, number;
  byte copied[2];
  bit batch;
  do
  :: takes < TAKES ->
    takes++;
    become_online(me);
    write(me);
    safepoint(me);
    fetch_and_clear(me);
#ifndef BUG_7
    say(me, "is offline while it waits");
    set_offline(me);
#endif
    ask(me, 1 - me);
#ifndef BUG_7
    become_online(me);
#endif
    read_page(me);
    safepoint(me);
    write(me);
    safepoint(me);
    set_offline(me)
  :: else -> break
  od;
  EMPTY(me) -> ended++;
  ended == 2;
  full_fence(me);
  fetch_and_clear(me);
  read_page(me);
  assert(copied[0] == mem[RAM] && copied[1] == mem[RAM + 1])
}
#else
/* LogVcpu: added, then run. */
proctype Runner() {
  byte x, n, sessions;
#ifndef WEAK_S7
  store(A, LISTED, 1, VOLATILE); /* S7 */
#endif
  do
  :: sessions < SESSIONS ->
    sessions++;
    /* VcpuOwner.take. */
    load(A, SHUT, x, VOLATILE);
    if :: x -> break :: else fi;
    rmw(A, OWNER, x, x + (x == 0), VOLATILE); /* S8 */
    if :: x -> say(A, "is refused: somebody closes it"); break :: else fi;
#ifndef NO_SECOND_LOOK
    load(A, SHUT, x, VOLATILE);
    if :: x -> store(A, OWNER, 0, VOLATILE); break :: else fi;
#endif
    say(A, "comes online");
    become_online(A);
#ifdef WEAK_S7
    write(A);
    store(A, LISTED, 1, VOLATILE);
#else
    write(A);
#endif
    safepoint(A);
    if
    :: true
    :: write(A)
    :: say(A, "its thread dies"); goto died
    fi;
    say(A, "goes offline");
    set_offline(A);
    store(A, OWNER, 0, VOLATILE) /* S8: release */
  :: else -> break
  od;
  goto over;
died:
  EMPTY(A) -> dead = 1;
over:
  EMPTY(A) -> ended++
}

/* VcpuOwner.close, once, and Collector.leave. */
proctype Closer() {
  byte x, before;
#ifdef WEAK_S8
  load(B, OWNER, before, VOLATILE);
#else
  rmw(B, OWNER, before, before + (before == 0) * (B + 1), VOLATILE); /* S8 */
#endif
  if
  :: before && !dead -> say(B, "is refused: the vCPU is online")
  :: else ->
    say(B, "closes the vCPU");
    take_lock(B);
    store(B, LISTED, 0, VOLATILE); /* VcpuGroup.remove */
    store(B, SHUT, 1, VOLATILE);
    give_lock(B);
    if
    :: before == 0 -> store(B, OWNER, 0, VOLATILE)
    :: else
    fi
  fi;
  EMPTY(B) -> ended++
}

inline take() {
  fetch_and_clear(me);
  load(me, LISTED, x, VOLATILE); /* S7 */
  if
  :: x -> ask(me, A)
  :: else -> x = 0
  fi;
  read_page(me)
}

proctype Client(byte me) {
  byte x, number, takes;
  byte copied[2];
  bit batch;
  do
  :: takes < TAKES -> takes++; take()
  :: else -> break
  od;
  ended == 2;
  full_fence(me);
  take();
  assert(copied[0] == mem[RAM])
}
#endif

init {
  atomic {
    /* At first no page is armed, and every page is dirty for each client. */
    mem[LIVE] = 1;
    view[0] = 1;
    view[1] = 1;
    view[2] = 1;
    view[3] = 1;
#ifdef ASKING
    run Vcpu(0);
    run Vcpu(1)
#else
    run Runner();
    run Closer();
#ifdef TWO
    run Client(3);
#endif
    run Client(2)
#endif
  }
}
