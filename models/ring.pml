/*
 * The entries of a dirty ring, with the three roles: a producer, a harvester and a resetter.
 *
 * Classes: RingProducer, RingHarvester, RingResetter, HarvestedPages, RingEntries, RingProgress. The
 * producer pushes the pages 1, 2, 3 ..., and waits while the ring is full. The harvester has to find
 * exactly these, in this order. The resetter has to arm exactly these, in this order, and none before it
 * was harvested. Nobody reads a page before it was armed (HarvestedPages.isReset). At the end all were
 * pushed, harvested and armed; a wait that never ends is an invalid end state.
 *
 * With KERNEL the resetter is the kernel: it arms and frees the entries by itself, and RingResetter.
 * noteResets finds out afterwards how far it has come. The kernel's producer knows that anyway.
 *
 * Bounds: ENTRIES entries, PUSHES pages. The slot of an entry is in the word of its flags, as in
 * RingEntries.OnHeap. Left out: entries of one word that are armed in one step, resets from two threads
 * (they have a lock), errors (the armer may be called again for the same entries).
 *
 * RUN pass 0
 * RUN pass 1
 * RUN pass 2
 * RUN pass 2 -DENTRIES=1
 * RUN pass 2 -DKERNEL
 * RUN fail BUG_8 0
 * RUN fail DIRTY_FIRST 0
 * RUN fail COUNT_BEFORE_FREE 0
 * RUN fail COUNT_BEFORE_ARM 0
 * RUN fail PAGE_BEFORE_FLAGS 0
 * RUN fail NOT_FULL 0
 * RUN fail WEAK_R1 2
 * RUN fail WEAK_R2 2
 * RUN fail WEAK_R4 2
 * RUN fail WEAK_R5 2 -DKERNEL
 * RUN full 2 -DPUSHES=6
 * RUN full 2 -DPUSHES=6 -DKERNEL
 */
#ifndef ENTRIES
#define ENTRIES 2
#endif
#ifndef PUSHES
#define PUSHES 3
#endif

#define NT 3
#define P 0 /* thread: producer */
#define H 1 /* thread: harvester */
#define R 2 /* thread: resetter */

#define FLAGS 0 /* and 1 */
#define PAGE 2 /* and 3 */
#define RESET_COUNT 4
#define HARVESTED_COUNT 5
#define ARMED 6 /* how many pages are armed: in place of their live bits */
#define NV 7

#define FREE (0)
#define DIRTY (1)
#define RESET (2)

#define EARLY_LOAD(t, v) ((v) >= PAGE && (v) < RESET_COUNT || (v) == ARMED)

#include "memory.pml"

#define AT(entry) ((entry) % ENTRIES)

/* RingProducer.push, and RingEntries.publish. */
proctype Producer() {
  byte pushed, end;
  end = ENTRIES;
  do
  :: pushed < PUSHES ->
#ifdef KERNEL
    await(P, mem[FLAGS + AT(pushed)] == FREE && !HAS(P, FLAGS + AT(pushed)));
#else
#ifndef NOT_FULL
    do
    :: pushed < end -> break
    :: else ->
      await(P, mem[RESET_COUNT] + ENTRIES > pushed); /* the loads that find no news are left out */
      load(P, RESET_COUNT, end, ACQUIRE); /* R4: hasRoom */
      end = end + ENTRIES
    od;
#endif
#endif
#ifdef DIRTY_FIRST
    store(P, FLAGS + AT(pushed), DIRTY, RELEASE);
    store(P, PAGE + AT(pushed), pushed + 1, OPAQUE);
#else
    store(P, PAGE + AT(pushed), pushed + 1, OPAQUE);
#ifdef WEAK_R1
    store(P, FLAGS + AT(pushed), DIRTY, OPAQUE);
#else
    store(P, FLAGS + AT(pushed), DIRTY, RELEASE); /* R1 */
#endif
#endif
    pushed++
  :: else -> break
  od
}

/* HarvestedPages.forEachPage. */
inline read_pages() {
  load(H, ARMED, x, OPAQUE);
  say1(H, "reads pages; armed are", x);
  assert(x >= harvested);
  x = 0
}

/* RingHarvester.harvest and RingEntries.harvest. */
proctype Harvester() {
  byte x, page, harvested, read;
  do
  :: harvested < PUSHES ->
    await(H, mem[FLAGS + AT(harvested)] == DIRTY && !HAS(H, FLAGS + AT(harvested))); /* R1 */
#if defined(BUG_8) || (defined(WEAK_R2) && MACHINE == 2)
    store(H, FLAGS + AT(harvested), RESET, RELEASE); /* before the entry is read */
    load(H, PAGE + AT(harvested), page, OPAQUE);
#else
    load(H, PAGE + AT(harvested), page, OPAQUE);
#ifdef WEAK_R5
    store(H, FLAGS + AT(harvested), RESET, OPAQUE);
#else
    store(H, FLAGS + AT(harvested), RESET, RELEASE); /* R2 */
#endif
#endif
    say1(H, "harvests page", page);
    harvested++;
    assert(page == harvested);
    page = 0;
#ifdef WEAK_R5
    store(H, HARVESTED_COUNT, harvested, OPAQUE);
#else
    store(H, HARVESTED_COUNT, harvested, RELEASE); /* R5 */
#endif
    if
    :: true -> await(H, mem[RESET_COUNT] >= harvested); read_pages() /* R4: isReset */
    :: harvested < PUSHES /* it harvests more before it reads */
    fi
  :: else -> break
  od
}

#ifdef KERNEL
/* kvm_dirty_ring_reset, and noteResets after it; done is the kernel's count, given is ours. */
inline give_back() {
  do
  :: freed < done -> store(R, FLAGS + AT(freed), FREE, RELEASE); freed++ /* kvm_dirty_gfn_set_invalid */
  :: else -> break
  od;
  load(R, HARVESTED_COUNT, end, ACQUIRE); /* R5 */
  do
  :: given < end ->
    load(R, FLAGS + AT(given), x, ACQUIRE);
    if
    :: x == RESET -> break
    :: else -> given++
    fi
  :: else -> break
  od;
  x = 0;
  end = 0;
  store(R, RESET_COUNT, given, RELEASE) /* R4 */
}
#else
/* RingResetter.giveBack. */
inline give_back() {
#if defined(COUNT_BEFORE_FREE) || defined(COUNT_BEFORE_ARM)
  store(R, RESET_COUNT, done, RELEASE);
#endif
#ifdef COUNT_BEFORE_ARM
  rmw(R, ARMED, x, done, VOLATILE);
  x = 0;
#endif
  do
  :: given < done -> store(R, FLAGS + AT(given), FREE, OPAQUE); given++ /* R3 */
  :: else -> break
  od;
#ifdef WEAK_R4
  store(R, RESET_COUNT, given, OPAQUE)
#elif !defined(COUNT_BEFORE_FREE) && !defined(COUNT_BEFORE_ARM)
  store(R, RESET_COUNT, given, RELEASE) /* R4 */
#else
  skip
#endif
}
#endif

/* RingResetter.reset: the entries of one call are those that it finds, up to a round. */
proctype Resetter() {
  byte x, page, done, given;
#ifdef KERNEL
  byte freed, end;
#endif
  do
  :: given < PUSHES ->
    await(R, (done < PUSHES && mem[FLAGS + AT(done)] == RESET) || done > given && mem[HARVESTED_COUNT] > given);
    do
    :: done < given + ENTRIES && done < PUSHES ->
#ifdef PAGE_BEFORE_FLAGS
      load(R, PAGE + AT(done), page, OPAQUE);
#endif
      load(R, FLAGS + AT(done), x, ACQUIRE); /* R2: arm */
      if
      :: x != RESET -> page = 0; break
      :: else ->
#ifndef PAGE_BEFORE_FLAGS
        load(R, PAGE + AT(done), page, OPAQUE);
#endif
        done++;
        say1(R, "arms page", page);
        assert(page == done);
        page = 0;
#ifndef COUNT_BEFORE_ARM
        rmw(R, ARMED, x, done, VOLATILE); /* B11 */
#endif
      fi
    :: else -> break
    od;
    x = 0;
    give_back()
  :: else -> break
  od
}

init {
  atomic {
    run Producer();
    run Harvester();
    run Resetter()
  }
}
