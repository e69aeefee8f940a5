/*
 * RCU: read-side sections with and without a vCPU, and a grace period after an unlink.
 *
 * Classes: Rcu, RcuReader, RcuReaders, GracePeriod, Handshake, VcpuState. Thread 0 is a reader without a
 * vCPU, thread 1 one that is online as a vCPU. Each enters a section, finds an element, or none if it
 * was unlinked, reads it twice and leaves; the vCPU may pass a safepoint in its section. The updater
 * unlinks the element, waits for a grace period and reclaims it: an element that was reclaimed has
 * another content. No reader may see that content.
 *
 * With STAYS a section that begins in the new epoch goes on until the element was reclaimed, and the vCPU
 * stays online until then: a grace period that waits for these is an invalid end state.
 *
 * Bounds: two readers, one section each, one grace period. Left out: nested sections, readers that die, and
 * U9; reclaim.pml has the tasks (U6, U7).
 *
 * RUN pass 0
 * RUN pass 1
 * RUN pass 2
 * RUN pass 1 -DSTAYS
 * RUN fail ANY_SECTION 0 -DSTAYS
 * RUN fail BUG_26 0
 * RUN fail WEAK_U1 1
 * RUN fail WEAK_U2 2
 * RUN same WEAK_U3 2
 * RUN fail WEAK_U4 0
 * RUN fail WEAK_U5 0
 */
#define NT 3
#define C 2 /* thread: updater */
/* thread 0: reader; thread 1: vCPU */

#define ELEMENT 0
#define CONTENT 1
#define EPOCH 2
#define WORD 3 /* and 4 */
#define REQUESTED 5
#define FLAG 6
#define ACKNOWLEDGED 7
#define OFFLINE 8
#define LISTED 9 /* whether the reader is in the list of readers; the vCPU's is */
#define NV 10

#include "memory.pml"

bit reclaimed;

inline read_content(me) {
  load(me, CONTENT, x, OPAQUE);
  say1(me, "it finds the content", x);
  assert(x == 1)
}

/* RcuReader.cross: a section begins. */
inline enter(me) {
#ifdef WEAK_U3
  load(me, EPOCH, entered, OPAQUE);
#else
  load(me, EPOCH, entered, ACQUIRE); /* U3: RcuReaders.enter */
#endif
  if
  :: me == 1 -> skip /* online: it publishes nothing */
  :: else ->
    store(me, WORD + me, entered, RELEASE); /* U1 */
#ifndef WEAK_U1
    full_fence(me)
#endif
  fi
}

inline leave(me) {
  load(me, WORD + me, x, OPAQUE);
  if
  :: x == 0 -> skip
  :: else -> store(me, WORD + me, 0, RELEASE) /* U2 */
  fi;
  entered = 0;
  x = 0
}

/* VcpuState.acknowledge, with RcuReader.quiescent. */
inline safepoint(me) {
  load(me, FLAG, x, ACQUIRE);
  if
  :: x == 0 -> skip
  :: else ->
    rmw(me, FLAG, x, 0, VOLATILE);
    load(me, REQUESTED, x, VOLATILE);
    acquire_fence(me);
#ifndef WEAK_U4
    if
    :: entered -> store(me, WORD + me, entered, RELEASE) /* U4 */
    :: else
    fi;
#endif
    store(me, ACKNOWLEDGED, x, RELEASE) /* S2 */
  fi;
  x = 0
}

inline answer_until_reclaimed(me) {
  do
  :: me == 1 && mem[FLAG] -> safepoint(me)
  :: reclaimed -> break
  od
}

proctype Reader(byte me) {
  byte x, element, entered;
  if
  :: me == 1 -> safepoint(me)
  :: true
  fi;
#ifndef WEAK_U5
  if
  :: me == 0 -> store(me, LISTED, 1, VOLATILE) /* U5: RcuReaders.link */
  :: else
  fi;
#endif
  enter(me);
  load(me, ELEMENT, element, ACQUIRE);
#ifdef WEAK_U5
  if
  :: me == 0 -> store(me, LISTED, 1, VOLATILE)
  :: else
  fi;
#endif
  if
  :: element == 0 -> say(me, "finds no element")
  :: else ->
    read_content(me);
    if
    :: me == 1 -> safepoint(me)
    :: true
    fi;
#ifdef WEAK_U2
    if
    :: MACHINE == 2 -> leave(me); read_content(me) /* a load that is made after the store */
    :: read_content(me)
    fi
#else
    read_content(me)
#endif
  fi;
  leave(me);
#ifdef STAYS
  enter(me);
  if
  :: entered == 2 -> say(me, "its section goes on"); answer_until_reclaimed(me)
  :: else
  fi;
  leave(me);
  if
  :: me == 1 -> answer_until_reclaimed(me)
  :: else
  fi;
#endif
  if
  :: me == 1 -> store(me, OFFLINE, 1, RELEASE) /* S4 */
  :: else
  fi
}

/* RcuReader.isPast. */
#ifdef ANY_SECTION
#define IS_PAST(word) ((word) == 0)
#else
#define IS_PAST(word) ((word) == 0 || (word) >= epoch)
#endif

proctype Updater() {
  byte x, epoch;
  store(C, ELEMENT, 0, VOLATILE);
  say(C, "has unlinked the element");
#ifndef BUG_26
  /* GracePeriod */
  rmw(C, EPOCH, epoch, epoch + 1, VOLATILE); /* U3: nextEpoch */
  epoch = epoch + 1;
  full_fence(C); /* U1 */
  rmw(C, REQUESTED, x, 1, VOLATILE); /* S1 */
  rmw(C, FLAG, x, 1, VOLATILE);
  await(C, mem[ACKNOWLEDGED] >= 1 || mem[OFFLINE] == 1);
  say(C, "the vCPU has passed");
  load(C, LISTED, x, VOLATILE); /* U5: RcuReaders.first */
  if
  :: x -> await(C, IS_PAST(mem[WORD]))
  :: else
  fi;
  await(C, IS_PAST(mem[WORD + 1]));
#endif
  say(C, "reclaims the element");
  store(C, CONTENT, 2, OPAQUE);
  reclaimed = 1
}

init {
  atomic {
    mem[ELEMENT] = 1;
    mem[CONTENT] = 1;
    mem[EPOCH] = 1;
    run Reader(0);
    run Reader(1);
    run Updater()
  }
}
