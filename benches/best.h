/* best.h: the fastest copy of much memory that this machine has: what a full copy has to be before
 * it counts as a baseline.
 *
 * Not here: which copies are kept (way.c).
 */
#ifndef rlua_bench_best_h
#define rlua_bench_best_h

#include <stddef.h>

/* Memory of `size` bytes, a multiple of BEST_ALIGN, at a multiple of it; written once, so no copy
 * faults. Huge pages where the system gives them. NULL when there is none. */
enum { BEST_ALIGN = 2 << 20 };
void *best_new(size_t size);
void best_free(void *block, size_t size);

/* Bytes of a block that lie in huge pages, as /proc/self/smaps tells; -1 where nobody tells. */
long best_huge_bytes(const void *block);

/* Copies; both aligned to 64. `history` is the size of all copies that take turns: where they find
 * room in a cache together, the copy goes through it, else past it. */
void best_copy(void *to, const void *from, size_t size, size_t history);

/* How a copy goes past the caches: avx2, sse2, or not at all (memcpy). */
const char *best_method(void);

/* Copies blocks of many sizes; 0 when one came out wrong, or a byte behind it has changed. */
int best_check(void);

#endif
