/* best.c: see best.h.
 *
 * A store past the caches needs no read of the line that it replaces, and leaves the VM's own lines
 * in the cache; a huge page needs one entry of the TLB where small ones need 512. The block lies
 * between pages that nobody may touch, so that it is a mapping of its own in smaps.
 */
#define _GNU_SOURCE
#include "best.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static size_t reserved(size_t size) {
  return size + 2 * (size_t)BEST_ALIGN;
}

void *best_new(size_t size) {
  char *start = mmap(NULL, reserved(size), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) return NULL;
  uintptr_t at = ((uintptr_t)start + BEST_ALIGN) & ~((uintptr_t)BEST_ALIGN - 1);
  char *block = start + (at - (uintptr_t)start);
  /* What lies before the block goes, so that best_free knows the rest. */
  size_t before = (size_t)(block - start) - 4096;
  if (before > 0) munmap(start, before);
  if (mprotect(block, size, PROT_READ | PROT_WRITE) != 0) return NULL;
#ifdef MADV_HUGEPAGE
  madvise(block, size, MADV_HUGEPAGE); /* refused: small pages, which best_huge_bytes tells */
#endif
  memset(block, 1, size);
  munmap(block + size + 4096, (size_t)(start + reserved(size) - (block + size + 4096)));
  return block;
}

void best_free(void *block, size_t size) {
  if (block != NULL) munmap((char *)block - 4096, size + 2 * 4096);
}

long best_huge_bytes(const void *block) {
  char line[512];
  unsigned long start, end, kib;
  int inside = 0;
  long bytes = -1;
  FILE *file = fopen("/proc/self/smaps", "r");
  if (file == NULL) return -1;
  while (fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "%lx-%lx ", &start, &end) == 2) inside = start == (uintptr_t)block;
    else if (inside && sscanf(line, "AnonHugePages: %lu kB", &kib) == 1) bytes = (long)kib * 1024;
  }
  fclose(file);
  return bytes;
}

#if defined(__x86_64__)
enum { AHEAD = 1024 }; /* bytes that are asked for before they are read */

__attribute__((target("avx2"))) static size_t copy_avx2(char *to, const char *from, size_t size) {
  size_t i = 0;
  for (; i + 256 <= size; i += 256) {
    __m256i v[8];
    for (int line = 0; line < 4; line++) _mm_prefetch(from + i + AHEAD + 64 * line, _MM_HINT_T0);
    for (int k = 0; k < 8; k++) v[k] = _mm256_load_si256((const __m256i *)(from + i) + k);
    for (int k = 0; k < 8; k++) _mm256_stream_si256((__m256i *)(to + i) + k, v[k]);
  }
  _mm_sfence();
  return i;
}

static size_t copy_sse2(char *to, const char *from, size_t size) {
  size_t i = 0;
  for (; i + 128 <= size; i += 128) {
    __m128i v[8];
    for (int line = 0; line < 2; line++) _mm_prefetch(from + i + AHEAD + 64 * line, _MM_HINT_T0);
    for (int k = 0; k < 8; k++) v[k] = _mm_load_si128((const __m128i *)(from + i) + k);
    for (int k = 0; k < 8; k++) _mm_stream_si128((__m128i *)(to + i) + k, v[k]);
  }
  _mm_sfence();
  return i;
}

const char *best_method(void) {
  return __builtin_cpu_supports("avx2") ? "avx2" : "sse2";
}

/* Half of the last level is what a VM and its neighbours leave for copies. */
static int is_cached(size_t history) {
  static long room = -1;
  if (room < 0) room = sysconf(_SC_LEVEL3_CACHE_SIZE) / 2;
  return room > 0 && history <= (size_t)room;
}

void best_copy(void *to, const void *from, size_t size, size_t history) {
  if (is_cached(history)) {
    memcpy(to, from, size);
    return;
  }
  size_t done = __builtin_cpu_supports("avx2") ? copy_avx2(to, from, size)
                                               : copy_sse2(to, from, size);
  memcpy((char *)to + done, (const char *)from + done, size - done);
}
#else
const char *best_method(void) {
  return "memcpy";
}

void best_copy(void *to, const void *from, size_t size, size_t history) {
  (void)history;
  memcpy(to, from, size);
}
#endif

int best_check(void) {
  static const size_t sizes[] = {0, 1, 63, 64, 127, 128, 255, 256, 257, 4096, 69632, 1048577,
                                 3 * 1048576 + 192};
  size_t room = 2 * (size_t)BEST_ALIGN;
  char *from = best_new(room), *to = best_new(room);
  int right = from != NULL && to != NULL;
  uint32_t chance = 1;
  for (size_t i = 0; right && i < room; i++) {
    chance = chance * 1664525 + 1013904223;
    from[i] = (char)(chance >> 24);
  }
  for (size_t i = 0; right && i < sizeof sizes / sizeof *sizes; i++) {
    memset(to, 0x55, room);
    best_copy(to, from, sizes[i], SIZE_MAX);
    right = memcmp(to, from, sizes[i]) == 0;
    for (size_t k = sizes[i]; right && k < sizes[i] + 4096; k++) right = to[k] == 0x55;
  }
  best_free(from, room);
  best_free(to, room);
  return right;
}
