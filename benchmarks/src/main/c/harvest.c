// What a take costs in C: the dirty pages of a guest are collected from a bitmap that other threads
// mark, by one thread, and their bits are cleared. It is the yardstick beside TakeBenchmark, which
// makes the same pages dirty; only ratios on one machine mean something.
//
//   words     every word is looked at, copied, and exchanged with 0 if it is not 0: what
//             KVM_GET_DIRTY_LOG returns
//   summary   the words of which a summary has a bit set are exchanged with 0, and their pages are
//             visited one by one
//
// Prints one line per size, share and way: log2 of the pages, the share, the way, and the 10th, 50th
// and 90th percentile in nanoseconds.
//
//   cc -O2 -o harvest harvest.c && ./harvest REPETITIONS LOG2_OF_PAGES SHARE...
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { PAGES_PER_WORD = 64, MOST_REPETITIONS = 1024 };

typedef _Atomic uint64_t shared_word;

static shared_word *words;    // one bit per page
static shared_word *summary;  // one bit per word
static uint64_t *copy;        // of the words
static long word_count;
static long summary_count;
static uint64_t visited;  // so that the compiler keeps the visits

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void *zeroed(size_t bytes) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    perror("mmap");
    exit(1);
  }
  memset(memory, 0, bytes);  // committed before anything is measured
  return memory;
}

static uint64_t look(shared_word *word) { return atomic_load_explicit(word, memory_order_relaxed); }

static uint64_t take(shared_word *word) {
  return atomic_exchange_explicit(word, 0, memory_order_acq_rel);
}

static void set(shared_word *word, uint64_t bit) {  // while nobody else is there
  atomic_store_explicit(word, look(word) | bit, memory_order_relaxed);
}

static void copy_words(void) {
  for (long w = 0; w < word_count; w++) {
    copy[w] = look(&words[w]) ? take(&words[w]) : 0;
  }
}

static void visit_by_summary(void) {
  uint64_t sum = 0;
  for (long s = 0; s < summary_count; s++) {
    for (uint64_t some = look(&summary[s]) ? take(&summary[s]) : 0; some; some &= some - 1) {
      long w = s * PAGES_PER_WORD + __builtin_ctzll(some);
      for (uint64_t pages = take(&words[w]); pages; pages &= pages - 1) {
        sum += (uint64_t)w * PAGES_PER_WORD + __builtin_ctzll(pages);
      }
    }
  }
  visited += sum;
}

// The same pages as TakeBenchmark: spread by a multiplication that visits every page once.
static void write_pages(uint64_t page_count, uint64_t dirty) {
  for (uint64_t i = 0; i < dirty; i++) {
    uint64_t page = i * 2654435761ull & (page_count - 1);
    uint64_t w = page / PAGES_PER_WORD;
    set(&words[w], 1ull << page % PAGES_PER_WORD);
    set(&summary[w / PAGES_PER_WORD], 1ull << w % PAGES_PER_WORD);
  }
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void measure(const char *name, void (*way)(void), int repetitions, int log2, const char *share) {
  uint64_t page_count = 1ull << log2;
  uint64_t number = strtoull(share, NULL, 10);
  uint64_t dirty = strchr(share, '%') ? page_count * number / 100 : number;
  double nanos[MOST_REPETITIONS];
  for (int r = -1; r < repetitions; r++) {  // the first is not counted
    write_pages(page_count, dirty);
    uint64_t start = now();
    way();
    if (r >= 0) {
      nanos[r] = now() - start;
    }
    memset((void *)summary, 0, summary_count * sizeof *summary);
  }
  qsort(nanos, repetitions, sizeof *nanos, by_size);
  printf("%d %s %s %.0f %.0f %.0f\n", log2, share, name, nanos[repetitions / 10],
         nanos[repetitions / 2], nanos[repetitions * 9 / 10]);
  fflush(stdout);
}

int main(int count, char **arguments) {
  if (count < 4) {
    fprintf(stderr, "usage: %s REPETITIONS LOG2_OF_PAGES SHARE...\n", arguments[0]);
    return 2;
  }
  int repetitions = atoi(arguments[1]);
  int log2 = atoi(arguments[2]);
  if (repetitions < 1 || repetitions > MOST_REPETITIONS || log2 < 12 || log2 > 32) {
    fprintf(stderr, "repetitions: 1 to %d; log2 of pages: 12 to 32\n", MOST_REPETITIONS);
    return 2;
  }
  word_count = (1l << log2) / PAGES_PER_WORD;
  summary_count = word_count / PAGES_PER_WORD;
  words = zeroed(word_count * sizeof *words);
  copy = zeroed(word_count * sizeof *copy);
  summary = zeroed(summary_count * sizeof *summary);
  for (int i = 3; i < count; i++) {
    measure("words", copy_words, repetitions, log2, arguments[i]);
    measure("summary", visit_by_summary, repetitions, log2, arguments[i]);
  }
  return visited == 1;  // it is not: the visits are needed
}
