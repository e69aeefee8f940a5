/*
 * The inhibitor: accesses that a changer keeps out while slots are changed in two steps.
 *
 * Classes: AccessInhibitor, InhibitableAccess. Two threads enter and leave; one changer inhibits, makes
 * two steps and closes its hold, CHANGES times. Inside, an access must see both steps of a change or
 * neither. The changer sleeps on a condition of the lock until it is woken; a wake-up that never comes
 * is an invalid end state.
 *
 * Bounds: two accesses, each entered ENTERS times. Left out: nested holds, pauses, deaths, kicks, the
 * order of changers, and closing an access.
 *
 * RUN pass 0
 * RUN pass 1
 * RUN pass 2
 * RUN fail NOT_RELEASED 0
 * RUN fail WEAK_I1 1
 * RUN fail WEAK_I2 1
 * RUN fail WEAK_I3 1
 * RUN fail WEAK_I4 2
 * RUN full 2 -DENTERS=3 -DCHANGES=2
 */
#ifndef ENTERS
#define ENTERS 2
#endif
#ifndef CHANGES
#define CHANGES 1
#endif

#define NT 3
#define C 2 /* thread: changer */
/* thread 0: access 0; thread 1: access 1 */

#define INSIDE 0 /* and 1 */
#define INHIBITED 2
#define STEP 3 /* and 4: the two steps of a change */
#define NV 5

#include "memory.pml"

byte lock; /* 0: free; else the thread and 1 */
bit asleep; /* the changer, on left */
bit waiting[2]; /* an access, on released */

/* A lock acquires as it is taken, and releases as it is given back. */
inline take_lock(t) {
  d_step { lock == 0 -> lock = t + 1; ACQUIRE_(t) }
}

inline give_lock(t) {
  d_step { EMPTY(t) -> lock = 0 }
}

/* InhibitableAccess.enter and AccessInhibitor.awaitRelease. */
inline enter(me) {
#ifdef WEAK_I1
  store(me, INSIDE + me, 1, RELEASE);
  load(me, INHIBITED, x, ACQUIRE);
#else
  store(me, INSIDE + me, 1, VOLATILE); /* I1 */
  load(me, INHIBITED, x, VOLATILE); /* I4 */
#endif
  if
  :: x == 0 -> skip
  :: else ->
    say(me, "has seen the flag: it goes back and waits");
    take_lock(me);
    store(me, INSIDE + me, 0, VOLATILE);
    asleep = 0; /* left.signalAll */
    do
    :: load(me, INHIBITED, x, VOLATILE);
      if
      :: x == 0 -> break
      :: else ->
        d_step { EMPTY(me) -> waiting[me] = 1; lock = 0 }
        d_step { waiting[me] == 0 && lock == 0 -> lock = me + 1; ACQUIRE_(me) }
      fi
    od;
    store(me, INSIDE + me, 1, VOLATILE);
    give_lock(me)
  fi
}

/* InhibitableAccess.leave and AccessInhibitor.wakeChanger. */
inline leave(me) {
#ifdef WEAK_I3
  store(me, INSIDE + me, 0, RELEASE);
  load(me, INHIBITED, x, ACQUIRE);
#else
  store(me, INSIDE + me, 0, VOLATILE); /* I3 */
  load(me, INHIBITED, x, VOLATILE);
#endif
  if
  :: x == 0 -> skip
  :: else -> take_lock(me); asleep = 0; give_lock(me)
  fi
}

proctype Access(byte me) {
  byte x, a, b, n;
  do
  :: n < ENTERS ->
    n++;
    enter(me);
    say(me, "is inside");
    load(me, STEP, a, OPAQUE);
    load(me, STEP + 1, b, OPAQUE);
    printf("T%d| # it sees the steps %d and %d\n", me, a, b);
    assert(a == b);
    d_step { a = 0; b = 0 }
    leave(me)
  :: else -> break
  od
}

/* AccessInhibitor.inhibit, two steps, Hold.close. */
proctype Changer() {
  byte x, n;
  bit inside;
  do
  :: n < CHANGES ->
    n++;
    take_lock(C);
#ifdef WEAK_I2
    store(C, INHIBITED, 1, RELEASE);
    d_step { lock = 0 } /* an unlock is a release only: the flag may be in the buffer still */
#else
    store(C, INHIBITED, 1, VOLATILE); /* I2 */
    give_lock(C);
#endif
#ifdef WEAK_I2
    d_step { lock == 0 -> lock = C + 1; ACQUIRE_(C) }
#else
    take_lock(C);
#endif
    do
    :: inside = 0;
#ifdef WEAK_I2
      load(C, INSIDE, x, ACQUIRE);
#else
      load(C, INSIDE, x, VOLATILE); /* isInside */
#endif
      inside = inside | x;
#ifdef WEAK_I2
      load(C, INSIDE + 1, x, ACQUIRE);
#else
      load(C, INSIDE + 1, x, VOLATILE);
#endif
      inside = inside | x;
      if
      :: !inside -> break
      :: else ->
        say(C, "sleeps until an access leaves");
        d_step { asleep = 1; lock = 0 }
        d_step { asleep == 0 && lock == 0 -> lock = C + 1; ACQUIRE_(C) }
      fi
    od;
    give_lock(C);
    say(C, "nobody is inside: it makes the change");
    store(C, STEP, n, OPAQUE);
    store(C, STEP + 1, n, OPAQUE);
    take_lock(C);
#ifdef WEAK_I4
    store(C, INHIBITED, 0, OPAQUE);
#else
    store(C, INHIBITED, 0, VOLATILE); /* I4: endLocked */
#endif
#ifndef NOT_RELEASED
    d_step { waiting[0] = 0; waiting[1] = 0 } /* released.signalAll */
#endif
    give_lock(C)
  :: else -> break
  od
}

init {
  atomic {
    run Access(0);
    run Access(1);
    run Changer()
  }
}
