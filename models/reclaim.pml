/*
 * What RCU does later: tasks that wait for a grace period, the turn of whoever runs them, the barrier that
 * waits for them, and a listener that is unregistered by such a task.
 *
 * Classes: RcuReclaimer, Rcu (callRcu, barrier, synchronize), GracePeriod, RcuReader, DeviceLog,
 * MapListeners. A caller walks twice, each time in a section: it looks whether the listener is closed,
 * and calls it if not, which reads what the listener has. An owner closes the listener, queues a task
 * that reclaims it, and waits for that task with a barrier, in which it may run tasks itself; another
 * thread runs tasks in a loop. No call may find the listener reclaimed; after the barrier it has to be.
 * The task runs once. A barrier that never ends is an invalid end state. With SYNC another thread waits
 * for a grace period beside that, and reclaims a second element.
 *
 * Bounds: one task and that of the barrier. Sections are those of a thread without a vCPU; rcu.pml has the
 * others. The queue is a word. Left out: tasks that throw, timeouts, batches that are run in parts.
 *
 * RUN pass 0
 * RUN pass 1
 * RUN pass 2 -DWALKS=1
 * RUN pass 0 -DSYNC
 * RUN fail WEAK_M1 0
 * RUN fail WEAK_U6 2 -DWALKS=1
 * RUN fail WEAK_U7 2 -DWALKS=1
 * RUN fail NO_TURN 0
 * RUN fail TASKS_AFTER_BEGIN 0
 * RUN fail BARRIER_OF_READERS 0
 * RUN full 1 -DSYNC
 * RUN full 1 -DWALKS=4
 * RUN full 2
 */
#ifndef WALKS
#define WALKS 2
#endif

#ifdef SYNC
#define NT 4
#else
#define NT 3
#endif
#define L 0 /* thread: caller */
#define O 1 /* thread: owner */
#define R 2 /* thread: loop */
#define Y 3 /* thread: updater */

#define CLOSED 0
#define CONTENT 1
#define EPOCH 2
#define WORD 3
#define QUEUE 4
#define TURN 5
#define BATCH 6
#define GRACE 7
#define DONE 8
#define ELEMENT 9
#define CONTENT_2 10
#ifdef SYNC
#define NV 11
#else
#define NV 9
#endif

#define RECLAIM (1) /* a task, as a bit of the queue or batch */
#define SET_DONE (2)

#define EARLY_LOAD(t, v) ((t) == L && (v) == CONTENT || (t) != L && ((v) == BATCH || (v) == GRACE || (v) == CONTENT))

#include "memory.pml"

byte ran; /* how often the listener was reclaimed */
bit over; /* the owner has ended */

/* RcuReader.cross. */
inline enter() {
  load(L, EPOCH, x, ACQUIRE); /* U3 */
  store(L, WORD, x, RELEASE); /* U1 */
  full_fence(L);
  x = 0
}

/* A walk, as in DeviceLogs.afterSync or MapListeners.changed. */
proctype Caller() {
  byte x, n;
  do
  :: n < WALKS ->
    n++;
#ifdef WEAK_M1
    load(L, CLOSED, x, VOLATILE);
    if :: x -> break :: else fi;
    enter();
#else
    enter();
    load(L, CLOSED, x, VOLATILE); /* M1: DeviceLog.isClosed */
#endif
    if
    :: x == 0 -> say(L, "calls the listener"); load(L, CONTENT, x, OPAQUE); assert(x == 0)
    :: else
    fi;
#ifdef SYNC
    load(L, ELEMENT, x, ACQUIRE);
    if
    :: x == 0 -> load(L, CONTENT_2, x, OPAQUE); assert(x == 0)
    :: else
    fi;
#endif
    x = 0;
    store(L, WORD, 0, RELEASE) /* U2 */
  :: else -> break
  od;
  n = 0;
  x = 0
}

/* GracePeriod. */
inline begin_grace(me, to) {
  rmw(me, EPOCH, to, to + 1, VOLATILE); /* U3 */
  to++;
  full_fence(me) /* U1 */
}

inline run_tasks(me) {
  if
  :: x != 0 && x < grace -> skip
  :: else ->
#ifdef TASKS_AFTER_BEGIN
    rmw(me, QUEUE, tasks, 0, VOLATILE);
#else
    load(me, BATCH, tasks, OPAQUE);
#endif
    if
    :: tasks & RECLAIM ->
      say(me, "reclaims the listener");
      ran++;
      assert(ran == 1);
      store(me, CONTENT, 1, OPAQUE)
    :: else
    fi;
    if
    :: tasks & SET_DONE ->
#ifdef WEAK_U7
      store(me, DONE, 1, OPAQUE)
#else
      store(me, DONE, 1, VOLATILE) /* U7 */
#endif
    :: else
    fi;
    tasks = 0;
    store(me, BATCH, 0, OPAQUE);
    store(me, GRACE, 0, OPAQUE)
  fi
}

/* RcuReclaimer.work: the turn, take and run. */
inline work(me) {
#ifdef NO_TURN
  x = 0;
#else
  load(me, TURN, x, VOLATILE);
  if
  :: x -> skip
  :: else -> rmw(me, TURN, x, x + (x == 0) * (me + 1), VOLATILE) /* U6 */
  fi;
#endif
  if
  :: x -> skip
  :: else ->
    load(me, GRACE, grace, OPAQUE);
    if
    :: grace == 0 ->
#ifdef TASKS_AFTER_BEGIN
      begin_grace(me, grace);
      store(me, GRACE, grace, OPAQUE);
#else
      rmw(me, QUEUE, tasks, 0, VOLATILE);
      if
      :: tasks ->
        store(me, BATCH, tasks, OPAQUE);
        begin_grace(me, grace);
        store(me, GRACE, grace, OPAQUE);
        tasks = 0
      :: else
      fi
#endif
    :: else
    fi;
    if
    :: grace -> load(me, WORD, x, ACQUIRE); run_tasks(me) /* isPast */
    :: else
    fi;
    grace = 0;
#ifdef WEAK_U6
    store(me, TURN, 0, OPAQUE)
#else
    store(me, TURN, 0, VOLATILE) /* U6 */
#endif
  fi;
  x = 0
}

#define WORK_TO_DO (mem[TURN] == 0 && (mem[QUEUE] || mem[GRACE] && (mem[WORD] == 0 || mem[WORD] >= mem[GRACE])))

proctype Owner() {
  byte x, grace, tasks;
  store(O, CLOSED, 1, VOLATILE); /* M1 */
  say(O, "has closed the listener");
  rmw(O, QUEUE, x, x | RECLAIM, VOLATILE); /* Rcu.callRcu */
  /* Rcu.barrier */
#ifdef BARRIER_OF_READERS
  begin_grace(O, grace);
  await(O, mem[WORD] == 0 || mem[WORD] >= grace);
  grace = 0;
#else
  rmw(O, QUEUE, x, x | SET_DONE, VOLATILE);
  x = 0;
  do
  :: mem[DONE] -> load(O, DONE, x, VOLATILE); break /* U7 */
  :: WORK_TO_DO -> work(O)
  od;
#endif
  load(O, CONTENT, x, OPAQUE);
  say1(O, "is over with its barrier, and sees", x);
  assert(x == 1);
  over = 1
}

proctype Loop() {
  byte x, grace, tasks;
#ifdef TASKS_AFTER_BEGIN
  work(R);
#endif
  do
  :: WORK_TO_DO -> work(R)
  :: over -> break
  od
}

#ifdef SYNC
/* Rcu.synchronize. */
proctype Updater() {
  byte grace;
  store(Y, ELEMENT, 1, VOLATILE); /* unlinked */
  begin_grace(Y, grace);
  await(Y, mem[WORD] == 0 || mem[WORD] >= grace);
  say(Y, "reclaims the element");
  store(Y, CONTENT_2, 1, OPAQUE)
}
#endif

init {
  atomic {
    mem[EPOCH] = 1;
    run Caller();
    run Owner();
#ifdef SYNC
    run Updater();
#endif
    run Loop()
  }
}
