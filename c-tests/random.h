/* random.h: chance that a seed repeats: one sequence for a program (xorshift), or as many as are
 * wanted (splitmix64). */
#ifndef RLUA_TEST_RANDOM_H
#define RLUA_TEST_RANDOM_H

#include <stdint.h>

static uint64_t random_state;

static inline void random_seed(uint64_t seed) { random_state = seed * 0x9e3779b97f4a7c15u | 1; }

static inline unsigned random_below(unsigned bound) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)((random_state >> 16) % bound);
}

typedef struct Random {
    uint64_t state;
} Random;

/* splitmix64: any seed will do, also neighbours. */
static inline uint64_t random_u64(Random *random) {
    uint64_t z = (random->state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* 0 .. n - 1 */
static inline int below(Random *random, int n) { return (int)(random_u64(random) % (uint64_t)n); }

static inline int one_in(Random *random, int n) { return below(random, n) == 0; }

#endif
