/* way.c: see way.h.
 *
 *   none         no snapshots: what a frame costs by itself
 *   copy_fresh   all used memory into a new block for each snapshot, the oldest block freed
 *   copy_ring    all used memory into the block of the oldest snapshot
 *   copy_reused  all used memory into one block, always the same: the fastest copy there is, but
 *                it keeps one moment only
 *   compare, uffd, auto, cards   the backends of librlua
 *
 * The arena's base is the 4 GiB boundary below any address in it; rlua_info tells its used bytes.
 */
#define _POSIX_C_SOURCE 200809L
#include "way.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[WAY_COUNT] = {
  "none", "copy_fresh", "copy_ring", "copy_reused", "compare", "uffd", "auto", "cards"
};

void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("world: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

const char *way_name(int kind) {
  return names[kind];
}

static int is_copy(int kind) {
  return kind >= WAY_COPY_FRESH && kind <= WAY_COPY_REUSED;
}

int way_open(Way *way, int kind, size_t memory_size, size_t kept, int lua_pacing) {
  int backend = kind >= WAY_COMPARE;
  rlua_Config config;
  memset(&config, 0, sizeof config);
  memset(way, 0, sizeof *way);
  config.size = sizeof config;
  config.memory_size = memory_size;
  config.max_snapshots = backend ? kept : 0;
  config.tracker = kind == WAY_COMPARE ? RLUA_TRACKER_COMPARE
    : kind == WAY_UFFD ? RLUA_TRACKER_UFFD
    : kind == WAY_CARDS ? RLUA_TRACKER_CARDS : RLUA_TRACKER_AUTO;
  if (lua_pacing) {
    config.gc_pause = 200;
    config.gc_step_multiplier = 100;
    config.gc_step_size = 13;
    config.gc_sweep_divisor = 1;
  }
  int status = rlua_open(&config, &way->L);
  if (status == RLUA_UNSUPPORTED) return 0;
  if (status != RLUA_OK) die("rlua_open: %s", rlua_last_error(NULL));
  way->kind = kind;
  way->kept = kind == WAY_COPY_REUSED ? 1 : kept;
  if (is_copy(kind)) way->copies = calloc(way->kept, sizeof(Copy));
  return 1;
}

void way_close(Way *way) {
  for (size_t i = 0; way->copies != NULL && i < way->kept; i++) free(way->copies[i].bytes);
  free(way->copies);
  lua_close(way->L);
}

rlua_Info way_info(const Way *way) {
  rlua_Info info;
  memset(&info, 0, sizeof info);
  info.size = sizeof info;
  if (rlua_info(way->L, &info) != RLUA_OK) die("rlua_info: %s", rlua_last_error(way->L));
  return info;
}

static void *arena_base(const Way *way) {
  return (void *)((uintptr_t)way->L & ~(uintptr_t)0xffffffff);
}

/* The fresh block is malloc's, as an implementation would have it. The reused ones are aligned to
 * pages, like the arena: memcpy can be far slower to a block that is 16 bytes off. */
static void *new_block(int kind, size_t size) {
  void *block = NULL;
  if (kind == WAY_COPY_FRESH) block = malloc(size);
  else if (posix_memalign(&block, 4096, size) != 0) block = NULL;
  if (block == NULL) die("no memory for a copy of %zu bytes", size);
  return block;
}

static void copy_out(Way *way) {
  way->newest = (way->newest + 1) % way->kept;
  Copy *copy = &way->copies[way->newest];
  size_t size = way_info(way).used_bytes;
  if (way->kind == WAY_COPY_FRESH || copy->room < size) {
    free(copy->bytes);
    copy->room = way->kind == WAY_COPY_FRESH ? size : size + size / 4;
    copy->bytes = new_block(way->kind, copy->room);
  }
  memcpy(copy->bytes, arena_base(way), size);
  copy->size = size;
}

void way_snap(Way *way) {
  if (is_copy(way->kind)) copy_out(way);
  else if (way->kind != WAY_NONE && rlua_snap(way->L) != RLUA_OK)
    die("rlua_snap: %s", rlua_last_error(way->L));
}

void way_rollback(Way *way, size_t n) {
  if (is_copy(way->kind)) {
    way->newest = (way->newest + way->kept - (n - 1) % way->kept) % way->kept;
    memcpy(arena_base(way), way->copies[way->newest].bytes, way->copies[way->newest].size);
  } else if (way->kind != WAY_NONE && rlua_rollback(way->L, n) != RLUA_OK) {
    die("rlua_rollback(%zu): %s", n, rlua_last_error(way->L));
  }
}
