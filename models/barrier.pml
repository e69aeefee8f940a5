/*
 * The after-sync barrier, with a vCPU that comes online and goes offline, is paused, and has a write TLB.
 *
 * Classes: Handshake, VcpuState, VcpuWords, Pauses, VcpuHooks. One vCPU comes online, writes, passes a
 * safepoint and goes offline, SESSIONS times. One collector takes twice, or with PAUSE pauses the guest
 * and reads RAM while it stands still. With TLB the vCPU remembers that it saw the live bit set, and
 * drops that in its arm callback alone. The bitmap is one bit; marking.pml has the rest of it.
 *
 * With STAYS the vCPU stays online and passes safepoints until both takes are over: a request that is never
 * answered is an invalid end state.
 *
 * Bounds: one vCPU. Left out: tasks. lifecycle.pml has two collectors, new vCPUs (S7), and vCPUs that die
 * or are closed (S8).
 *
 * RUN pass 0
 * RUN pass 1
 * RUN pass 2
 * RUN pass 2 -DTLB
 * RUN pass 2 -DPAUSE
 * RUN pass 2 -DSTAYS -DSESSIONS=1
 * RUN fail FLAG_BEFORE_NUMBER 0 -DSTAYS -DSESSIONS=1
 * RUN fail NUMBER_BEFORE_FLAG 0 -DSTAYS -DSESSIONS=1
 * RUN fail BUG_16 0 -DTLB
 * RUN fail WEAK_S3 0 -DTLB
 * RUN fail WEAK_S4 2
 * RUN fail WEAK_S5 1
 * RUN same WEAK_S6 2 -DPAUSE
 */
#ifndef SESSIONS
#define SESSIONS 3
#endif
#define NT 2
#define C 1 /* thread: collector */
/* thread 0: vCPU */

#define RAM 0
#define LIVE 1
#define REQUESTED 2
#define FLAG 3
#define ACKNOWLEDGED 4
#define ONLINE 5
#define EPOCH 6
#define PAUSED 7
#define NV 8
#define SB 3

#include "memory.pml"

byte copied;
bit ended;
bit taken; /* both takes are over */
bit still; /* the pause is on, and every vCPU was waited for */

inline acknowledge() {
#ifdef NUMBER_BEFORE_FLAG
  load(0, REQUESTED, request, VOLATILE);
  rmw(0, FLAG, x, 0, VOLATILE);
#else
  load(0, REQUESTED, request, VOLATILE);
#endif
  load(0, EPOCH, x, VOLATILE); /* S3 */
#ifndef BUG_16
  if
  :: x != seen -> say(0, "arm callback: drops its write TLB"); tlb = 0; seen = x
  :: else
  fi;
#endif
  acquire_fence(0);
  store(0, ACKNOWLEDGED, request, RELEASE); /* S2 */
  request = 0;
  x = 0
}

/* VcpuState.setOffline. */
inline set_offline() {
  acquire_fence(0);
#ifdef WEAK_S4
  store(0, ONLINE, 0, OPAQUE)
#else
  store(0, ONLINE, 0, RELEASE) /* S4 */
#endif
}

/* VcpuState.becomeOnline. */
inline become_online() {
  do
  :: load(0, PAUSED, x, VOLATILE); /* before it shows itself online */
    if
    :: x == 0 ->
      store(0, ONLINE, 1, RELEASE);
#ifndef WEAK_S5
      full_fence(0); /* S5 */
#endif
      load(0, PAUSED, x, VOLATILE);
      if
      :: x == 0 -> break
      :: else -> set_offline()
      fi
    :: else
    fi;
    await(0, mem[PAUSED] == 0)
  od;
  acknowledge()
}

inline write() {
  n++;
  store(0, RAM, n, OPAQUE);
  if
  :: tlb -> say(0, "its write TLB has the page")
  :: else ->
    load(0, LIVE, x, OPAQUE); /* B1 */
    if
    :: x -> skip
    :: else -> rmw(0, LIVE, x, 1, RELEASE)
    fi;
    x = 0;
#ifdef TLB
    tlb = 1
#endif
  fi
}

proctype Vcpu() {
  byte x, request, seen, n, s;
  bit tlb;
  do
  :: s < SESSIONS ->
    s++;
    say(0, "comes online");
    become_online();
    write();
#ifdef STAYS
    do
    :: mem[FLAG] ->
#ifndef NUMBER_BEFORE_FLAG
      rmw(0, FLAG, x, 0, VOLATILE);
#endif
      acknowledge()
    :: taken -> break
    od;
#endif
    load(0, FLAG, x, ACQUIRE); /* S2: isAsked */
    if
    :: x == 0 -> skip
    :: else ->
      rmw(0, FLAG, x, 0, VOLATILE);
      acknowledge();
      load(0, PAUSED, x, VOLATILE);
      if
      :: x -> set_offline(); become_online()
      :: else
      fi;
      write()
    fi;
    x = 0;
    say(0, "goes offline");
    set_offline()
  :: else -> break
  od;
  EMPTY(0) -> ended = 1
}

inline take() {
  load(C, LIVE, found, ACQUIRE);
#ifdef WEAK_S3
  store(C, EPOCH, epoch, VOLATILE);
  full_fence(C);
#endif
  if
  :: found || first ->
    say(C, "clears the live bit");
    rmw(C, LIVE, x, 0, VOLATILE) /* B11 */
  :: else
  fi;
#ifndef WEAK_S3
  store(C, EPOCH, epoch, VOLATILE); /* S3: pagesArmed */
#endif
  epoch++;
#ifdef FLAG_BEFORE_NUMBER
  rmw(C, FLAG, x, 1, VOLATILE);
#endif
  rmw(C, REQUESTED, number, number + 1, VOLATILE); /* S1 */
  number++;
#ifndef FLAG_BEFORE_NUMBER
  rmw(C, FLAG, x, 1, VOLATILE); /* S2 */
#endif
  do
  :: mem[ACKNOWLEDGED] >= number || mem[ONLINE] == 0 ->
    load(C, ACKNOWLEDGED, x, ACQUIRE);
    if :: x >= number -> break :: else fi;
    load(C, ONLINE, x, VOLATILE); /* S4, S5: isOffline */
    if :: x == 0 -> break :: else fi
  od;
  if
  :: found || first -> say(C, "reads the page"); load(C, RAM, copied, OPAQUE)
  :: else
  fi;
  first = 0;
  d_step { found = 0; number = 0; x = 0 }
}

proctype Collector() {
  byte x, found, number, epoch, a, b;
  bit first;
  epoch = 1;
  first = 1;
#ifdef PAUSE
  /* Pauses.pause, stop and resume. */
#ifdef WEAK_S6
  store(C, PAUSED, 1, RELEASE);
#else
  store(C, PAUSED, 1, VOLATILE);
  full_fence(C); /* S6 */
#endif
  rmw(C, FLAG, x, 1, VOLATILE);
  await(C, mem[ONLINE] == 0);
  say(C, "all vCPUs stand still");
  load(C, RAM, a, ACQUIRE);
  load(C, RAM, b, ACQUIRE);
  assert(a == b);
  store(C, PAUSED, 0, VOLATILE)
#else
  take();
  take();
  taken = 1;
  ended == 1;
  full_fence(C);
  take();
  assert(copied == mem[RAM])
#endif
}

init {
  atomic {
    mem[LIVE] = 1;
    run Vcpu();
    run Collector()
  }
}
