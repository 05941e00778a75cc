/* random.h: chance that a seed repeats (xorshift). */
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

#endif
