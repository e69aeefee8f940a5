/*
 * What vCPUs wait for, offline to all others: the end of a pause, a pause of their own, room in a ring; what
 * waits for vCPUs: a pause, a barrier, a task; and the close of the log beside all of it.
 *
 * Classes: Pauses, VcpuSignal, VcpuState, VcpuGroup, VcpuTasks, BackPressure, VcpuPressure, Handshake,
 * Collector.close. A sleeper wakes because it is woken, or because the holder of a pause has died, which it
 * looks for now and then: that all waits end does not rest on their slices of time. A wait that never ends
 * is an invalid end state.
 *
 * Two vCPUs write, pass safepoints and go offline, SESSIONS times; the last time they stay online until
 * all others have ended. vCPU 1 pauses the guest, and with BOTH vCPU 0 does so too: nobody may see the
 * other write in a pause. Thread 2 closes the log at any moment, or never. With HOLDS the pause is on until vCPU 0
 * and the close have ended; with DIES its holder dies in it.
 *
 * With TASKS, instead, thread 3 has vCPU 0 run a task, and waits for it: it runs once or fails once. Thread
 * 2 closes the log, or not, or with CLOSES the vCPU, while that is offline. Where something is closed,
 * vCPU 0 may go offline for good, and leave the task to whoever closes.
 *
 * With ROOM, instead, each write of vCPU 0 fills its ring. Thread 3 takes whenever it is full: it resets
 * the ring and makes a barrier. Thread 2 may end the client that collects.
 *
 * Bounds: one pause each, one task. Left out: timeouts, interrupts, error handlers that throw or call the
 * log, policies of full rings, and the dirty limit, which waits as for room, but for a time.
 *
 * RUN pass 0
 * RUN pass 0 -DBOTH
 * RUN pass 0 -DHOLDS
 * RUN pass 0 -DDIES
 * RUN pass 1 -DSESSIONS=1
 * RUN pass 2 -DSESSIONS=1
 * RUN pass 1 -DTASKS
 * RUN pass 2 -DTASKS
 * RUN pass 1 -DTASKS -DCLOSES
 * RUN pass 1 -DROOM
 * RUN pass 2 -DROOM
 * RUN fail PAUSER_ONLINE 0 -DBOTH
 * RUN fail NO_WAKE_AT_RESUME 0
 * RUN fail NO_WAKE_AT_CLOSE 0 -DHOLDS
 * RUN fail CLOSE_SEEN_TOO_EARLY 0 -DHOLDS
 * RUN fail RUNS_AT_CLOSE 0 -DHOLDS
 * RUN fail DEAD_HOLDER 0 -DDIES
 * RUN fail FAILS_THEN_SAYS 0 -DTASKS
 * RUN fail LOOKS_THEN_QUEUES 0 -DTASKS
 * RUN fail SHUT_NOT_LOOKED_AT 0 -DTASKS -DCLOSES
 * RUN fail FLAGS_THEN_QUEUES 0 -DTASKS
 * RUN fail NO_WAKE_AFTER_RESET 0 -DROOM
 * RUN fail WAKES_THEN_RESETS 0 -DROOM
 * RUN fail FULL_AND_ONLINE 0 -DROOM
 * RUN fail WAKES_THEN_ENDS 0 -DROOM
 * RUN fail WEAK_S14 2 -DTASKS -DCLOSES
 * RUN full 1 -DBOTH -DSESSIONS=1
 * RUN full 1 -DHOLDS
 * RUN full 2 -DHOLDS -DSESSIONS=1
 * RUN full 1 -DDIES
 * RUN full 1 -DTASKS -DSESSIONS=3
 * RUN full 1 -DROOM -DWRITES=4
 */
#ifndef SESSIONS
#define SESSIONS 2
#endif
#ifndef WRITES
#define WRITES 2
#endif

#if defined(TASKS) || defined(ROOM)
#define ALONE /* vCPU 0 is the only one */
#endif

#define NT 4
#define X 2 /* thread: closer */
/* thread 0: vCPU 0; thread 1: vCPU 1; thread 3: other */
#define O 3

#define RAM 0 /* and 1 */
#define FLAG 2 /* and 3: VcpuState.pending */
#define ONLINE 4 /* and 5 */
#define ACKNOWLEDGED 6 /* and 7 */
#define REQUESTED 8
#define PAUSED 9 /* Pauses.current: 0, or the holder and 1 */
#define CLOSED 10 /* VcpuGroup.closed */
#define QUEUE 11 /* VcpuTasks.first */
#define SHUT 12 /* VcpuOwner.shut */
#define OWNER 13 /* VcpuOwner.thread */
#define FULL 14 /* RingRoom.isSoftFull */
#define COLLECTING 15 /* BackPressure.collecting */
#define NV 16

#ifdef WEAK_S14
#define CLOSE_STORE OPAQUE
#define CLOSE_LOAD OPAQUE
#define EARLY_LOAD(t, v) ((v) == CLOSED || (v) == SHUT || (v) == QUEUE)
#else
#define CLOSE_STORE VOLATILE
#define CLOSE_LOAD VOLATILE
#define EARLY_LOAD(t, v) ((v) == RAM || (v) == RAM + 1)
#endif

#include "memory.pml"

byte signal; /* the lock of VcpuSignal: 0, or the thread and 1 */
bit asleep[2];
bit dead; /* the holder of the pause */
bit ended[4];
bit closes; /* the log will be closed */
bit had_its_pause[2];
byte done; /* how often the task has run, or failed */

inline lock_signal(t) {
  d_step { signal == 0 -> signal = t + 1; ACQUIRE_(t) }
}

inline unlock_signal(t) {
  d_step { EMPTY(t) -> signal = 0 }
}

inline wake_locked() {
  d_step { asleep[0] = 0; asleep[1] = 0 }
}

/* VcpuSignal.await. */
inline sleep(me) {
  say(me, "sleeps");
  d_step { EMPTY(me) -> asleep[me] = 1; signal = 0 }
#if defined(DIES) && !defined(DEAD_HOLDER)
  d_step { (!asleep[me] || dead) && signal == 0 -> asleep[me] = 0; signal = me + 1; ACQUIRE_(me) }
#else
  d_step { !asleep[me] && signal == 0 -> signal = me + 1; ACQUIRE_(me) }
#endif
}

inline wake(t) {
  lock_signal(t);
  wake_locked();
  unlock_signal(t)
}

#define EXEMPT(me) (x == me + 1)
#ifdef BOTH
#define PAUSES(me) true
#else
#define PAUSES(me) (me == 1)
#endif
#ifdef HOLDS
#define OTHER_PAUSED(me) true
#else
#define OTHER_PAUSED(me) (!PAUSES(me) || had_its_pause[me] || ended[me])
#endif

/* Pauses.awaitResume. */
inline await_resume(me) {
  do
  :: load(me, PAUSED, x, VOLATILE);
    if :: x == 0 || EXEMPT(me) -> break :: else fi;
    load(me, CLOSED, x, VOLATILE);
    if :: x -> break :: else fi;
    lock_signal(me);
    load(me, PAUSED, x, VOLATILE);
    if
    :: x == 0 -> skip
#ifdef DIES
    :: x && dead -> say(me, "the holder has died: ends its pause"); store(me, PAUSED, 0, VOLATILE); wake_locked()
    :: x && !dead ->
#else
    :: x ->
#endif
#ifdef CLOSE_SEEN_TOO_EARLY
      sleep(me)
#else
      load(me, CLOSED, x, VOLATILE);
      if :: x -> skip :: else -> sleep(me) fi
#endif
    fi;
    unlock_signal(me)
  od
}

inline set_offline(me) {
  acquire_fence(me);
  store(me, ONLINE + me, 0, RELEASE) /* S4 */
}

inline acknowledge(me) {
  load(me, REQUESTED, x, VOLATILE); /* S1 */
  acquire_fence(me);
  store(me, ACKNOWLEDGED + me, x, RELEASE); /* S2 */
  x = 0
}

/* VcpuState.becomeOnline: online, or, if the log was closed in a pause, offline with an exception. */
inline become_online(me) {
  do
  :: load(me, PAUSED, x, VOLATILE); /* before it shows itself online */
    if
    :: x == 0 || EXEMPT(me) ->
      store(me, ONLINE + me, 1, RELEASE);
      full_fence(me); /* S5 */
      load(me, PAUSED, x, VOLATILE);
      if :: x == 0 || EXEMPT(me) -> online = 1; acknowledge(me); break :: else fi;
      set_offline(me)
    :: else
    fi;
    say(me, "waits, offline, for the end of the pause");
    await_resume(me);
#ifndef RUNS_AT_CLOSE
    load(me, CLOSED, x, VOLATILE);
    if
    :: x ->
      load(me, PAUSED, x, VOLATILE);
      if
      :: x && !EXEMPT(me) -> say(me, "the log is closed: it stays offline"); online = 0; break /* giveUp */
      :: else
      fi
    :: else
    fi
#else
    load(me, CLOSED, x, VOLATILE);
    if :: x -> store(me, ONLINE + me, 1, RELEASE); full_fence(me); online = 1; acknowledge(me); break :: else fi
#endif
  od;
  x = 0
}

/* VcpuTasks.next and run; whoever fails what is left, the same. */
inline next_task(me) {
  load(me, QUEUE, x, CLOSE_LOAD);
  if
  :: x -> rmw(me, QUEUE, x, 0, VOLATILE)
  :: else
  fi;
  if
  :: x -> say(me, "runs the task, or fails it"); done++; assert(done == 1)
  :: else
  fi;
  x = 0
}

/* VcpuPressure.awaitRoom and BackPressure.awaitRoom. */
inline await_room(me) {
  load(me, FULL, x, ACQUIRE);
  if
  :: x ->
    say(me, "its ring is full");
#ifndef FULL_AND_ONLINE
    set_offline(me);
#endif
    lock_signal(me);
    do
    :: load(me, COLLECTING, x, VOLATILE);
      if :: x == 0 -> break :: else fi;
      load(me, FULL, x, ACQUIRE);
      if :: x == 0 -> break :: else -> sleep(me) fi
    od;
    unlock_signal(me);
#ifndef FULL_AND_ONLINE
    become_online(me)
#endif
  :: else
  fi;
  x = 0
}

/* VcpuState.safepoint. */
inline safepoint(me) {
  do
  :: load(me, FLAG + me, x, ACQUIRE); /* S2 */
    if :: x == 0 -> break :: else fi;
    rmw(me, FLAG + me, x, 0, VOLATILE);
#ifdef TASKS
    next_task(me);
#endif
    acknowledge(me);
    load(me, PAUSED, x, VOLATILE);
    if
    :: x && !EXEMPT(me) -> set_offline(me); become_online(me); if :: !online -> break :: else fi
    :: else
    fi;
#ifdef ROOM
    await_room(me)
#endif
  od;
  x = 0
}

inline write(me) {
  n = 1 - n;
  say(me, "writes");
  store(me, RAM + me, n, OPAQUE);
#ifdef ROOM
  store(me, FULL, 1, RELEASE); /* RingProducer.push */
  rmw(me, FLAG + me, x, 1, VOLATILE) /* VcpuState.press */
#endif
}

/* Pauses.pause by a vCPU, a look at the other one's RAM, resume. */
inline pause(me) {
#ifndef PAUSER_ONLINE
  set_offline(me); /* waitAside */
#endif
  lock_signal(me);
  do
  :: load(me, PAUSED, x, VOLATILE); /* takeTurn */
    if
    :: x == 0 -> store(me, PAUSED, me + 1, VOLATILE); say(me, "has the turn to pause"); mine = 1; break
    :: else ->
      load(me, CLOSED, x, VOLATILE);
      if :: x -> say(me, "the log is closed: it pauses nobody"); break :: else -> sleep(me) fi
    fi
  od;
  unlock_signal(me);
#ifndef PAUSER_ONLINE
  become_online(me);
#endif
  if
  :: mine ->
    /* Pauses.stop */
    full_fence(me); /* S6 */
    rmw(me, FLAG + 1 - me, x, 1, VOLATILE); /* S2: VcpuState.request */
    await(me, mem[ONLINE + 1 - me] == 0);
    say(me, "the other vCPU stands still");
    load(me, RAM + 1 - me, a, ACQUIRE);
#ifdef HOLDS
    do
    :: mem[FLAG + me] -> safepoint(me)
    :: ended[0] && ended[X] -> break
    od;
#endif
    load(me, RAM + 1 - me, b, ACQUIRE);
    assert(a == b);
#ifdef DIES
    say(me, "dies with its pause on");
    d_step { EMPTY(me) -> dead = 1; mem[ONLINE + me] = 0 };
    goto over;
#else
    lock_signal(me);
    store(me, PAUSED, 0, VOLATILE); /* endLocked */
#ifndef NO_WAKE_AT_RESUME
    wake_locked();
#endif
    unlock_signal(me)
#endif
  :: else
  fi;
  d_step { a = 0; b = 0; mine = 0; x = 0 }
}

/* VcpuState.online, or a refusal; then a session. */
proctype Vcpu(byte me) {
  byte x, sessions, a, b, writes;
  bit online, n, paused, mine;
  do
  :: sessions < SESSIONS ->
    sessions++;
#ifdef CLOSES
    load(me, SHUT, x, VOLATILE); /* VcpuOwner.take */
    if :: x -> break :: else fi;
    rmw(me, OWNER, x, x + (x == 0), VOLATILE); /* S8 */
    if :: x -> break :: else fi;
    load(me, SHUT, x, VOLATILE);
    if :: x -> store(me, OWNER, 0, VOLATILE); break :: else fi;
#endif
    say(me, "comes online");
    become_online(me);
    if :: !online -> break :: else fi;
#ifdef TASKS
    next_task(me);
#endif
#ifndef ROOM
    write(me);
#endif
    do
    :: mem[FLAG + me] ->
      safepoint(me);
#ifdef ROOM
      skip
#else
      if :: !online -> break :: else -> write(me) fi
#endif
#if !defined(ALONE)
    :: !paused && sessions == SESSIONS && PAUSES(me) ->
      paused = 1;
      pause(me);
      had_its_pause[me] = 1;
      if :: !online -> break :: else fi
    :: sessions == SESSIONS && ended[X] && (paused || !PAUSES(me)) && OTHER_PAUSED(1 - me) -> break
#else
#ifdef ROOM
    :: writes < WRITES && !mem[FLAG + me] -> writes++; write(me)
    :: writes == WRITES && !mem[FLAG + me] -> break
#elif !defined(CLOSES)
    :: sessions == SESSIONS && (closes || ended[O]) -> break
#else
    :: true -> break
#endif
#endif
    :: sessions < SESSIONS -> break
    od;
    if :: !online -> break :: else fi;
    say(me, "goes offline");
    set_offline(me);
#ifdef CLOSES
    store(me, OWNER, 0, VOLATILE)
#endif
  :: else -> break
  od;
over:
  EMPTY(me) -> ended[me] = 1
}

inline ask_all(t) {
  rmw(t, REQUESTED, number, number + 1, VOLATILE); /* S1 */
  number++;
  rmw(t, FLAG, x, 1, VOLATILE); /* S2 */
#ifndef ALONE
  rmw(t, FLAG + 1, x, 1, VOLATILE);
#endif
  await(t, mem[ACKNOWLEDGED] >= number || mem[ONLINE] == 0);
#ifndef ALONE
  await(t, mem[ACKNOWLEDGED + 1] >= number || mem[ONLINE + 1] == 0);
#endif
  number = 0
}

proctype Closer() {
  byte x, number;
#ifdef ROOM
  if
  :: true
  :: say(X, "ends the client that collects"); /* Clients.endLocked, BackPressure.setCollecting */
#ifdef WAKES_THEN_ENDS
    wake(X);
    store(X, COLLECTING, 0, VOLATILE)
#else
    store(X, COLLECTING, 0, VOLATILE);
    wake(X)
#endif
  fi;
#elif defined(CLOSES)
  /* VcpuOwner.close and VcpuTasks.failAll. */
  do
  :: mem[OWNER] == 0 ->
    rmw(X, OWNER, x, x + (x == 0) * (X + 1), VOLATILE); /* S8 */
    if :: x == 0 -> break :: else fi
  od;
  x = 0;
  say(X, "closes the vCPU");
  store(X, SHUT, 1, CLOSE_STORE); /* S14 */
  lock_signal(X); /* VcpuGroup.remove */
  unlock_signal(X);
  store(X, OWNER, 0, VOLATILE);
  next_task(X);
#else
  if
  :: closes -> skip
  :: else -> goto over
  fi;
  /* VcpuGroup.close. */
  say(X, "closes the log");
#ifdef FAILS_THEN_SAYS
  next_task(X);
#endif
  store(X, CLOSED, 1, CLOSE_STORE); /* S14 */
#ifndef NO_WAKE_AT_CLOSE
  wake(X); /* BackPressure.setCollecting */
#endif
  ask_all(X); /* Collector.close */
#ifndef FAILS_THEN_SAYS
  next_task(X); /* VcpuTasks.failAll */
#endif
#endif
over:
  EMPTY(X) -> ended[X] = 1
}

/* VcpuTasks.submit, and a wait for what it returns. */
proctype Submitter() {
  byte x;
#ifdef LOOKS_THEN_QUEUES
  load(O, CLOSED, x, CLOSE_LOAD);
  if :: x -> goto over :: else fi;
#endif
  say(O, "has vCPU 0 run a task");
#ifdef FLAGS_THEN_QUEUES
  rmw(O, FLAG, x, 1, VOLATILE);
  rmw(O, QUEUE, x, 1, VOLATILE);
#else
  rmw(O, QUEUE, x, 1, VOLATILE);
  rmw(O, FLAG, x, 1, VOLATILE); /* S2: VcpuState.request */
#endif
#ifndef LOOKS_THEN_QUEUES
  /* S14: VcpuState.isGone */
  load(O, CLOSED, x, CLOSE_LOAD);
#ifndef SHUT_NOT_LOOKED_AT
  if :: x == 0 -> load(O, SHUT, x, CLOSE_LOAD) :: else fi;
#endif
  if :: x -> say(O, "finds it closed"); next_task(O) :: else fi;
#endif
  x = 0;
  await(O, done == 1);
over:
  ended[O] = 1
}

/* A client that takes, or a reaper: Collector.reap and settleEpoch, then the barrier of the take. */
proctype Taker() {
  byte x, number;
  do
  :: mem[FULL] && mem[COLLECTING] ->
    say(O, "takes, and resets the ring");
#ifdef WAKES_THEN_RESETS
    wake(O);
    store(O, FULL, 0, RELEASE);
#else
    store(O, FULL, 0, RELEASE); /* R4 */
#ifndef NO_WAKE_AFTER_RESET
    wake(O);
#endif
#endif
    ask_all(O)
  :: ended[0] || !mem[COLLECTING] -> break
  od;
  EMPTY(O) -> ended[O] = 1
}

init {
  atomic {
    mem[COLLECTING] = 1;
#ifdef HOLDS
    closes = 1;
#else
    if :: closes = 1 :: closes = 0 fi;
#endif
    run Vcpu(0);
#ifndef ALONE
    run Vcpu(1);
#endif
#ifdef TASKS
    run Submitter();
#endif
#ifdef ROOM
    run Taker();
#endif
    run Closer()
  }
}
