/* way.c: see way.h.
 *
 *   plain        no snapshots, in a library of its own that was built without marks of writes:
 *                what a frame costs where nothing is tracked
 *   none         no snapshots, in the library that is measured
 *   copy_fresh   all used memory into a new block for each snapshot, the oldest block freed
 *   copy_ring    all used memory into the block of the oldest snapshot
 *   copy_reused  all used memory into one block, always the same, which stays in the cache; it
 *                keeps one moment only
 *   copy_best    as the ring, by the best copy there is (best.c): huge pages, and past the caches
 *                where they have no room for the ring
 *   others       the trackers of librlua, as RLUA_TRACKER names them
 *
 * The arena's base is the 4 GiB boundary below any address in it; rlua_info tells its used bytes.
 */
#define _GNU_SOURCE
#include "way.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "best.h"

static const char *names[WAY_COUNT] = {
  "plain", "none", "copy_fresh", "copy_ring", "copy_reused", "copy_best"
};

#define X(name) name,
static const Library linked = {WAY_FUNCTIONS(X)};
#undef X
static Library plain;

void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("world: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

int way_of_name(const char *name) {
  for (int kind = 0; kind < WAY_COUNT; kind++) {
    if (names[kind] == NULL) names[kind] = name;
    if (strcmp(names[kind], name) == 0) return kind;
  }
  return -1;
}

const char *way_name(int kind) {
  return names[kind];
}

/* ISO C has no conversion from dlsym's object pointer to a function's: the bytes are copied. Bound
 * to itself, since this program exports functions of the same names. */
void way_load_plain(const char *path) {
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND), *address;
  if (handle == NULL) die("%s", dlerror());
#define X(name) \
  if ((address = dlsym(handle, #name)) == NULL) die("%s lacks " #name, path); \
  memcpy(&plain.name, &address, sizeof address);
  WAY_FUNCTIONS(X)
#undef X
  if (plain.rlua_open == linked.rlua_open) die("%s is the library that is measured", path);
}

static int is_copy(int kind) {
  return kind >= WAY_COPY_FRESH && kind <= WAY_COPY_BEST;
}

int way_open(Way *way, int kind, size_t memory_size, size_t kept, int lua_pacing) {
  rlua_Config config;
  memset(&config, 0, sizeof config);
  memset(way, 0, sizeof *way);
  if (kind == WAY_PLAIN && plain.rlua_open == NULL) return 0;
  way->library = kind == WAY_PLAIN ? &plain : &linked;
  config.size = sizeof config;
  config.memory_size = memory_size;
  config.max_snapshots = kind >= WAY_TRACKERS ? kept : 0;
  if (lua_pacing) {
    config.gc_pause = 200;
    config.gc_step_multiplier = 100;
    config.gc_step_size = 13;
    config.gc_sweep_divisor = 1;
  }
  /* The tracker by its name: so a tracker that the header lacks can be measured. */
  setenv("RLUA_TRACKER", kind >= WAY_TRACKERS ? names[kind] : "auto", 1);
  int status = way->library->rlua_open(&config, &way->L);
  if (kind >= WAY_TRACKERS && (status == RLUA_UNSUPPORTED || status == RLUA_BAD_CONFIG)) return 0;
  if (status != RLUA_OK) die("rlua_open: %s", way->library->rlua_last_error(NULL));
  way->kind = kind;
  way->kept = kind == WAY_COPY_REUSED ? 1 : kept;
  if (is_copy(kind)) way->copies = calloc(way->kept, sizeof(Copy));
  return 1;
}

static void free_block(int kind, Copy *copy) {
  if (kind == WAY_COPY_BEST) best_free(copy->bytes, copy->room);
  else free(copy->bytes);
}

void way_close(Way *way) {
  for (size_t i = 0; way->copies != NULL && i < way->kept; i++)
    free_block(way->kind, &way->copies[i]);
  free(way->copies);
  way->library->lua_close(way->L);
}

rlua_Info way_info(const Way *way) {
  rlua_Info info;
  memset(&info, 0, sizeof info);
  info.size = sizeof info;
  if (way->library->rlua_info(way->L, &info) != RLUA_OK)
    die("rlua_info: %s", way->library->rlua_last_error(way->L));
  return info;
}

static void *arena_base(const Way *way) {
  return (void *)((uintptr_t)way->L & ~(uintptr_t)0xffffffff);
}

/* The fresh block is malloc's, as an implementation would have it. The reused ones are aligned to
 * pages, like the arena: memcpy can be far slower to a block that is 16 bytes off. They have room
 * for a heap that doubles until its first collection ends, so that no capture allocates later. */
static void new_block(int kind, Copy *copy, size_t size) {
  free_block(kind, copy);
  copy->room = kind == WAY_COPY_FRESH ? size : size * 5 / 2;
  if (kind == WAY_COPY_BEST) {
    copy->room = (copy->room + BEST_ALIGN - 1) & ~((size_t)BEST_ALIGN - 1);
    copy->bytes = best_new(copy->room);
  } else if (kind == WAY_COPY_FRESH) {
    copy->bytes = malloc(size);
  } else if (posix_memalign(&copy->bytes, 4096, copy->room) != 0) {
    copy->bytes = NULL;
  }
  if (copy->bytes == NULL) die("no memory for a copy of %zu bytes", size);
}

static void copy_out(Way *way) {
  way->newest = (way->newest + 1) % way->kept;
  Copy *copy = &way->copies[way->newest];
  size_t size = way_info(way).used_bytes;
  if (way->kind == WAY_COPY_FRESH || copy->room < size) new_block(way->kind, copy, size);
  if (way->kind == WAY_COPY_BEST) best_copy(copy->bytes, arena_base(way), size, way->kept * size);
  else memcpy(copy->bytes, arena_base(way), size);
  copy->size = size;
}

void way_snap(Way *way) {
  if (is_copy(way->kind)) copy_out(way);
  else if (way->kind >= WAY_TRACKERS && rlua_snap(way->L) != RLUA_OK)
    die("rlua_snap: %s", rlua_last_error(way->L));
}

/* What comes back is read at once, so it goes through the caches: memcpy, also for the best. */
void way_rollback(Way *way, size_t n) {
  if (is_copy(way->kind)) {
    way->newest = (way->newest + way->kept - (n - 1) % way->kept) % way->kept;
    memcpy(arena_base(way), way->copies[way->newest].bytes, way->copies[way->newest].size);
  } else if (way->kind >= WAY_TRACKERS && rlua_rollback(way->L, n) != RLUA_OK) {
    die("rlua_rollback(%zu): %s", n, rlua_last_error(way->L));
  }
}

void way_check_copy(const Way *way) {
  if (!is_copy(way->kind)) return;
  const Copy *copy = &way->copies[way->newest];
  if (copy->size != way_info(way).used_bytes ||
      memcmp(copy->bytes, arena_base(way), copy->size) != 0)
    die("%s is no copy of the VM's memory", way_name(way->kind));
}

size_t way_copy_bytes(const Way *way) {
  size_t bytes = 0;
  for (size_t i = 0; way->copies != NULL && i < way->kept; i++) bytes += way->copies[i].room;
  return bytes;
}

long way_huge_bytes(const Way *way) {
  long bytes = 0;
  for (size_t i = 0; way->kind == WAY_COPY_BEST && i < way->kept; i++) {
    if (way->copies[i].bytes == NULL) continue;
    long huge = best_huge_bytes(way->copies[i].bytes);
    if (huge < 0) return -1;
    bytes += huge;
  }
  return bytes;
}
