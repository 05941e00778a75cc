/* measure.h: time and medians, for the programs that compare two things within one process. PROGRAM
 * is the name in front of a failure. */
#ifndef RLUA_BENCH_MEASURE_H
#define RLUA_BENCH_MEASURE_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MAX_ROUNDS = 1001 };

static inline void fail(const char *what) {
  fprintf(stderr, PROGRAM ": %s\n", what);
  exit(1);
}
#define OK(call) \
  do { \
    if ((call) != RLUA_OK) fail(#call); \
  } while (0)

static inline double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static inline double median(double *values, int count) {
  qsort(values, (size_t)count, sizeof *values, by_value);
  return values[count / 2];
}

/* The argument of the command line: how often the two take turns. */
static inline int rounds_of(int argc, char **argv) {
  int rounds = argc > 1 ? atoi(argv[1]) : 51;
  if (rounds < 1 || rounds > MAX_ROUNDS) fail("ROUNDS is 1 to 1001");
  return rounds;
}

#endif
