/*
 * Shared memory of three machines, which all models of this directory use. MACHINE selects one:
 *
 *   0  sequential consistency: every access is at once visible to all
 *   1  x86: each thread has a store buffer, which is first in, first out (TSO)
 *   2  ARMv8 without LSE atomics: stores in the buffer become visible in any order, but for those to
 *      one word and for releases; and a load may have been made early
 *
 * A model defines NT (threads) and NV (words) and includes this file. Threads and words are numbers;
 * a word has a byte. Modes are those of java.lang.invoke.VarHandle. Every access is one call:
 *
 *   store(thread, word, value, mode)           mode OPAQUE (also plain), RELEASE or VOLATILE
 *   load(thread, word, variable, mode)         mode OPAQUE (also plain), ACQUIRE or VOLATILE
 *   rmw(thread, word, variable, value, mode)   an atomic step: the variable gets the old value, then
 *                                              the word gets the new one, which may use the variable
 *   await(thread, condition)                   waits until a condition over mem[] is true, then acquires
 *   full_fence(thread), acquire_fence(thread)
 *
 * How the machines differ. A store goes into the thread's buffer; the process Memory makes it visible
 * later. A RELEASE or VOLATILE store becomes visible after all earlier stores of its thread. A VOLATILE
 * load waits until no VOLATILE store is left in its thread's buffer, as Java demands; other loads pass
 * all stores. An atomic step is made in the memory itself. On x86 it is a full fence whatever its mode.
 * On machine 2 it waits for the buffer if it is RELEASE or VOLATILE, and if it is VOLATILE it acquires
 * before it stores, and not after: a later load that is neither volatile nor acquire may pass its
 * store, as between LDAXR and STLXR. An early load is modelled by the value that a word had before
 * another thread overwrote it: an OPAQUE load may return that one, until the thread acquires, fences,
 * or has seen a newer value of that word.
 *
 * What this does not cover. A load is never made after a later store, and an atomic step never after a
 * later store: where an ordering forbids that, its variant exchanges the two by hand. An acquire is
 * itself never early. If a word is overwritten twice between two acquires of a thread, an early load
 * finds the oldest value or the newest, and none in between. Values out of thin air, and dependencies,
 * do not exist. What a compiler may do to plain accesses is not in the machine: variants do it by hand.
 */
#ifndef MACHINE
#define MACHINE 0
#endif
#ifndef SB
#define SB 2 /* stores in a buffer; a thread with a full one waits */
#endif
#ifndef EARLY_LOAD
#define EARLY_LOAD(t, v) 1 /* whether a thread has opaque loads of a word at all */
#endif

#define OPAQUE 0
#define RELEASE 1
#define ACQUIRE 1
#define VOLATILE 2
#define NONE 255

byte mem[NV];
byte i_, x_; /* 0 between the steps */

#define say(t, text) d_step { printf("T%d| # ", t); printf(text); printf("\n") }
#define say1(t, text, value) d_step { printf("T%d| # ", t); printf(text); printf(" %d\n", value) }

#if MACHINE > 0
typedef Buffer {
  byte n;
  byte v[SB];
  byte x[SB];
  byte k[SB]
};
Buffer sb[NT];

#define EMPTY(t) (sb[t].n == 0)
#if SB == 2
#define HAS(t, word) ((sb[t].n > 0 && sb[t].v[0] == (word)) || (sb[t].n > 1 && sb[t].v[1] == (word)))
#define NO_VOLATILE(t) (sb[t].k[0] != VOLATILE && sb[t].k[1] != VOLATILE)
#else
#define HAS(t, word) ((sb[t].n > 0 && sb[t].v[0] == (word)) || (sb[t].n > 1 && sb[t].v[1] == (word)) || (sb[t].n > 2 && sb[t].v[2] == (word)))
#define NO_VOLATILE(t) (sb[t].k[0] != VOLATILE && sb[t].k[1] != VOLATILE && sb[t].k[2] != VOLATILE)
#endif

/* What the thread itself reads: the newest store in its buffer, else the memory. */
#define OWN_(t, word, to)                                                                          \
  x_ = mem[word];                                                                                  \
  i_ = 0;                                                                                          \
  do                                                                                               \
  :: i_ < sb[t].n -> if :: sb[t].v[i_] == (word) -> x_ = sb[t].x[i_] :: else fi; i_ = i_ + 1       \
  :: else -> break                                                                                 \
  od;                                                                                              \
  to = x_;                                                                                         \
  i_ = 0;                                                                                          \
  x_ = 0
#else
#define EMPTY(t) true
#define HAS(t, word) false
#define NO_VOLATILE(t) true
#define OWN_(t, word, to) to = mem[word]
#endif

#if MACHINE == 2
byte early[NT * NV] = NONE;
byte linked[NT]; /* what an atomic step has loaded, until it stores */

#define ACQUIRE_(t)                                                                                \
  i_ = 0;                                                                                          \
  do                                                                                               \
  :: i_ < NV -> early[(t) * NV + i_] = NONE; i_ = i_ + 1                                           \
  :: else -> break                                                                                 \
  od;                                                                                              \
  i_ = 0

#define VISIBLE_(t, word, value)                                                                   \
  x_ = value;                                                                                      \
  if                                                                                               \
  :: mem[word] != x_ ->                                                                            \
    i_ = 0;                                                                                        \
    do                                                                                             \
    :: i_ < NT ->                                                                                  \
      if                                                                                           \
      :: i_ != (t) && EARLY_LOAD(i_, word) && early[i_ * NV + (word)] == NONE ->                   \
        early[i_ * NV + (word)] = mem[word]                                                        \
      :: else                                                                                      \
      fi;                                                                                          \
      i_ = i_ + 1                                                                                  \
    :: else -> break                                                                               \
    od                                                                                             \
  :: else                                                                                          \
  fi;                                                                                              \
  early[(t) * NV + (word)] = NONE;                                                                 \
  mem[word] = x_;                                                                                  \
  i_ = 0;                                                                                          \
  x_ = 0
#else
#define ACQUIRE_(t) skip
#define VISIBLE_(t, word, value) mem[word] = value
#endif

#if MACHINE == 0
inline store(t, word, value, mode) {
  d_step { mem[word] = value; printf("T%d| stores %d to @%d@\n", t, value, word) }
}
#else
inline store(t, word, value, mode) {
  d_step {
    sb[t].n < SB ->
    sb[t].v[sb[t].n] = word;
    sb[t].x[sb[t].n] = value;
    sb[t].k[sb[t].n] = mode;
    sb[t].n = sb[t].n + 1;
    printf("T%d| stores %d to @%d@, into its buffer\n", t, value, word)
  }
}
#endif

#if MACHINE == 2
inline load(t, word, to, mode) {
  if
  :: d_step {
      (mode != VOLATILE || NO_VOLATILE(t)) ->
      OWN_(t, word, to);
      if :: mode == OPAQUE -> early[(t) * NV + (word)] = NONE :: else -> ACQUIRE_(t) fi;
      printf("T%d| loads @%d@: %d\n", t, word, to)
    }
  :: d_step {
      (mode == OPAQUE && early[(t) * NV + (word)] != NONE && !HAS(t, word)) ->
      to = early[(t) * NV + (word)];
      printf("T%d| loads @%d@ early: %d\n", t, word, to)
    }
  fi
}
#else
inline load(t, word, to, mode) {
  d_step {
    (mode != VOLATILE || NO_VOLATILE(t)) ->
    OWN_(t, word, to);
    printf("T%d| loads @%d@: %d\n", t, word, to)
  }
}
#endif

inline rmw(t, word, old, new, mode) {
#if MACHINE == 2
  if
  :: mode == VOLATILE -> d_step { EMPTY(t) -> ACQUIRE_(t); linked[t] = mem[word] }
  :: else
  fi;
#endif
  d_step {
    (EMPTY(t) || (MACHINE == 2 && mode == OPAQUE && !HAS(t, word))) ->
#if MACHINE == 2
    /* The store fails if the word was changed since the load, which is then made again. */
    if :: mode == VOLATILE && mem[word] != linked[t] -> ACQUIRE_(t) :: else fi;
    linked[t] = 0;
#endif
    old = mem[word];
    VISIBLE_(t, word, new);
    printf("T%d| exchanges @%d@: %d -> %d\n", t, word, old, mem[word])
  }
}

inline full_fence(t) {
  d_step { EMPTY(t) -> ACQUIRE_(t); printf("T%d| fence\n", t) }
}

inline acquire_fence(t) {
  d_step { ACQUIRE_(t) }
}

inline await(t, condition) {
  d_step { (condition) -> ACQUIRE_(t); printf("T%d| goes on\n", t) }
}

#if MACHINE > 0
/* Makes the store at an index of a thread's buffer visible. */
#define COMMIT_(t, at)                                                                             \
  printf("T%d| . store of %d to @%d@ becomes visible\n", t, sb[t].x[at], sb[t].v[at]);             \
  VISIBLE_(t, sb[t].v[at], sb[t].x[at]);                                                           \
  i_ = at + 1;                                                                                     \
  do                                                                                               \
  :: i_ < sb[t].n ->                                                                               \
    sb[t].v[i_ - 1] = sb[t].v[i_];                                                                 \
    sb[t].x[i_ - 1] = sb[t].x[i_];                                                                 \
    sb[t].k[i_ - 1] = sb[t].k[i_];                                                                 \
    i_ = i_ + 1                                                                                    \
  :: else -> break                                                                                 \
  od;                                                                                              \
  sb[t].n = sb[t].n - 1;                                                                           \
  sb[t].v[sb[t].n] = 0;                                                                            \
  sb[t].x[sb[t].n] = 0;                                                                            \
  sb[t].k[sb[t].n] = 0;                                                                            \
  i_ = 0

#define COMMIT_0(t) d_step { sb[t].n > 0 -> COMMIT_(t, 0) }
#define COMMIT_1(t) d_step { sb[t].n > 1 && sb[t].k[1] == OPAQUE && sb[t].v[1] != sb[t].v[0] -> COMMIT_(t, 1) }
#define COMMIT_2(t) d_step { sb[t].n > 2 && sb[t].k[2] == OPAQUE && sb[t].v[2] != sb[t].v[0] && sb[t].v[2] != sb[t].v[1] -> COMMIT_(t, 2) }

active proctype Memory() {
end:
  do
  :: COMMIT_0(0)
  :: COMMIT_0(1)
#if NT > 2
  :: COMMIT_0(2)
#endif
#if NT > 3
  :: COMMIT_0(3)
#endif
#if MACHINE == 2
  :: COMMIT_1(0)
  :: COMMIT_1(1)
#if NT > 2
  :: COMMIT_1(2)
#endif
#if NT > 3
  :: COMMIT_1(3)
#endif
#if SB > 2
  :: COMMIT_2(0)
  :: COMMIT_2(1)
#if NT > 2
  :: COMMIT_2(2)
#endif
#endif
#endif
  od
}
#endif
