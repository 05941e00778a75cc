/* world.c: measures snapshots of game worlds in one process, every way against the others.
 *
 *   world matrix WORLD_LUA KIB KEPT ROUNDS FRAMES   capture, for each touched part and pattern
 *   world rollback WORLD_LUA KIB ROUNDS             back by 1, 4, 8, 20; netcode pattern
 *   world worst WORLD_LUA KIB FRAMES                worst frame with the collector running
 *   world memory WORLD_LUA KIB                      what 20 snapshots take
 *   world idle COUNT KIB                            many small VMs
 *   world script SCRIPT WAY PERIOD_US               a script, with a snapshot each period
 *
 * Each line of the output is `name way key=value ...`, for one round. Method: every way has a VM
 * with the same world, and blocks of frames take turns. All VMs do the same work, so the cost
 * of a way is the capture, and what the frame took more than the same frame without snapshots:
 * write faults and cache misses count. A frame that got faster is noise and counts as no change.
 *
 * Not here: the ways themselves (way.c), medians over rounds and tables (world.py).
 */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "lauxlib.h"
#include "lualib.h"
#include "way.h"

#define MIB ((size_t)1 << 20)
#define FRAMES_MAX 64

typedef struct Bench {
  Way ways[WAY_COUNT];
  int open[WAY_COUNT];
  size_t kib;
  lua_Integer entities;
} Bench;

/* What a frame touches. */
typedef struct Load {
  lua_Integer touched;
  const char *pattern; /* of world.lua */
  int allocate;
} Load;

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(const double *values, size_t count) {
  double sorted[FRAMES_MAX];
  memcpy(sorted, values, count * sizeof *values);
  qsort(sorted, count, sizeof *sorted, compare_doubles);
  return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

static double mean(const double *values, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += values[i];
  return sum / (double)count;
}

static double at_least_zero(double value) {
  return value > 0 ? value : 0;
}

static void call(lua_State *L, int arguments, int results) {
  if (lua_pcall(L, arguments, results, 0) != LUA_OK) die("%s", lua_tostring(L, -1));
}

static double run_frame(const Way *way, const Load *load) {
  lua_State *L = way->L;
  double start = now_ns();
  lua_getglobal(L, "frame");
  lua_pushinteger(L, load->touched);
  lua_pushstring(L, load->pattern);
  lua_pushboolean(L, load->allocate);
  call(L, 3, 0);
  return now_ns() - start;
}

static double snap(Way *way) {
  double start = now_ns();
  way_snap(way);
  return now_ns() - start;
}

static lua_Integer digest(const Way *way) {
  lua_getglobal(way->L, "digest");
  call(way->L, 0, 1);
  lua_Integer sum = lua_tointeger(way->L, -1);
  lua_pop(way->L, 1);
  return sum;
}

static lua_Integer build_world(lua_State *L, const char *path, size_t kib) {
  luaL_openlibs(L);
  if (luaL_loadfile(L, path) != LUA_OK) die("%s", lua_tostring(L, -1));
  call(L, 0, 0);
  lua_getglobal(L, "grow");
  lua_pushinteger(L, (lua_Integer)kib);
  call(L, 1, 1);
  lua_Integer entities = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return entities;
}

static void open_bench(Bench *bench, const char *path, size_t kib, size_t kept) {
  memset(bench, 0, sizeof *bench);
  bench->kib = kib;
  for (int kind = 0; kind < WAY_COUNT; kind++) {
    Way *way = &bench->ways[kind];
    bench->open[kind] = way_open(way, kind, kib * 1024 * 4 + 16 * MIB, kept, 0);
    if (bench->open[kind]) bench->entities = build_world(way->L, path, kib);
    else printf("unavailable %s world_kib=%zu\n", way_name(kind), kib);
  }
}

static void close_bench(Bench *bench) {
  for (int kind = 0; kind < WAY_COUNT; kind++)
    if (bench->open[kind]) way_close(&bench->ways[kind]);
}

/* A part of the entities in units of 1/1000, at least one unless the part is zero. */
static lua_Integer part(const Bench *bench, int per_mille) {
  lua_Integer touched = bench->entities * per_mille / 1000;
  return per_mille > 0 && touched == 0 ? 1 : touched;
}

static void print_load(const char *name, const Bench *bench, int way, int per_mille, Load load) {
  printf("%s %s world_kib=%zu touched_permille=%d pattern=%s allocate=%d ", name, way_name(way),
         bench->kib, per_mille, load.pattern, load.allocate);
}

/* One block of frames of every way; prints what each way added to the same frames. */
static void capture_round(Bench *bench, int per_mille, Load load, int round, size_t frames) {
  static double frame[WAY_COUNT][FRAMES_MAX], capture[WAY_COUNT][FRAMES_MAX];
  double slower[FRAMES_MAX], dirty[FRAMES_MAX];
  for (int turn = 0; turn < WAY_COUNT; turn++) {
    int kind = (turn + round) % WAY_COUNT;
    Way *way = &bench->ways[kind];
    if (!bench->open[kind]) continue;
    for (size_t i = 0; i < frames; i++) {
      frame[kind][i] = run_frame(way, &load);
      capture[kind][i] = snap(way);
      dirty[i] = (double)way_info(way).dirty_pages;
    }
    way->dirty_pages = median(dirty, frames);
  }
  for (int kind = 0; kind < WAY_COUNT; kind++) {
    if (!bench->open[kind]) continue;
    for (size_t i = 0; i < frames; i++) slower[i] = frame[kind][i] - frame[WAY_NONE][i];
    double capture_ns = median(capture[kind], frames);
    print_load("capture", bench, kind, per_mille, load);
    printf("added_ns=%.0f capture_ns=%.0f capture_mean_ns=%.0f slower_ns=%.0f frame_ns=%.0f "
           "dirty_pages=%.0f used_pages=%zu\n", at_least_zero(median(slower, frames)) + capture_ns,
           capture_ns, mean(capture[kind], frames), median(slower, frames),
           median(frame[kind], frames), bench->ways[kind].dirty_pages,
           way_info(&bench->ways[kind]).used_bytes / 4096);
  }
}

static void capture_case(Bench *bench, int per_mille, const char *pattern, int allocate,
                         int rounds, size_t frames) {
  Load load = {part(bench, per_mille), pattern, allocate};
  for (int kind = 0; kind < WAY_COUNT; kind++) { /* fills the history: the steady state */
    Way *way = &bench->ways[kind];
    for (size_t i = 0; bench->open[kind] && i <= 2 * bench->ways[WAY_COPY_RING].kept; i++) {
      run_frame(way, &load);
      way_snap(way);
    }
  }
  for (int round = 0; round < rounds; round++)
    capture_round(bench, per_mille, load, round, frames);
}

/* A way that loses or invents a write ends in another world. */
static void check_digests(const Bench *bench) {
  lua_Integer expected = digest(&bench->ways[WAY_NONE]);
  for (int kind = 0; kind < WAY_COUNT; kind++)
    if (bench->open[kind] && digest(&bench->ways[kind]) != expected)
      die("%s went another way than the VM without snapshots", way_name(kind));
}

static void matrix(const char *path, size_t kib, size_t kept, int rounds, size_t frames) {
  static const int per_mille[] = {0, 1, 10, 50, 200, 1000};
  static const char *const patterns[] = {"scattered", "same", "clustered"};
  Bench bench;
  if (frames > FRAMES_MAX) die("at most %d frames a round", FRAMES_MAX);
  open_bench(&bench, path, kib, kept);
  for (int allocate = 0; allocate <= 1; allocate++)
    for (size_t i = 0; i < sizeof per_mille / sizeof *per_mille; i++)
      for (size_t pattern = 0; pattern < sizeof patterns / sizeof *patterns; pattern++)
        if (per_mille[i] > 0 || (!allocate && pattern == 0)) /* nothing touched: one case */
          capture_case(&bench, per_mille[i], patterns[pattern], allocate, rounds, frames);
  check_digests(&bench);
  close_bench(&bench);
}

/* Runs `n` frames, a snapshot before each, then goes back over all of them. */
static void rollback_case(Bench *bench, int per_mille, size_t n, int rounds) {
  Load load = {part(bench, per_mille), "scattered", 1};
  for (int round = -1; round < rounds; round++) {
    double after_none = 0;
    for (int kind = 0; kind < WAY_COUNT; kind++) {
      Way *way = &bench->ways[kind];
      if (!bench->open[kind]) continue;
      for (size_t i = 0; i < n; i++) {
        if (i == 0 || kind != WAY_COPY_REUSED) way_snap(way); /* one block: the target only */
        run_frame(way, &load);
      }
      double start = now_ns();
      way_rollback(way, n);
      double back = now_ns() - start;
      double after = run_frame(way, &load);
      if (kind == WAY_NONE) after_none = after;
      if (round < 0) continue; /* the first round fills pools */
      print_load("rollback", bench, kind, per_mille, load);
      printf("n=%zu rollback_ns=%.0f added_after_ns=%.0f\n", n, back, after - after_none);
    }
  }
}

/* What a host does in each tick of a game with late inputs: eight frames back, eight again. */
static void netcode_case(Bench *bench, int per_mille, int rounds) {
  Load load = {part(bench, per_mille), "scattered", 1};
  double none = 0;
  for (int round = -2; round < rounds; round++) {
    for (int kind = 0; kind < WAY_COUNT; kind++) {
      Way *way = &bench->ways[kind];
      if (!bench->open[kind] || kind == WAY_COPY_REUSED) continue; /* it keeps too little */
      double start = now_ns(), frames = 0;
      if (round > -2) way_rollback(way, 8);
      double own = now_ns() - start;
      for (int i = 0; i < (round > -2 ? 8 : 9); i++) { /* the first round fills the history */
        frames += run_frame(way, &load);
        own += snap(way);
      }
      if (kind == WAY_NONE) none = frames;
      if (round < 0) continue;
      print_load("netcode", bench, kind, per_mille, load);
      printf("added_ns=%.0f own_ns=%.0f frames_ns=%.0f\n", own + at_least_zero(frames - none), own,
             frames);
    }
  }
}

static void rollback(const char *path, size_t kib, int rounds) {
  static const size_t depths[] = {1, 4, 8, 20};
  Bench bench;
  open_bench(&bench, path, kib, 20);
  for (size_t i = 0; i < sizeof depths / sizeof *depths; i++)
    rollback_case(&bench, 10, depths[i], rounds);
  netcode_case(&bench, 10, rounds);
  close_bench(&bench);
}

static void print_worst(double *times, double *dirty, size_t frames) {
  qsort(times, frames, sizeof *times, compare_doubles);
  qsort(dirty, frames, sizeof *dirty, compare_doubles);
  printf("frames=%zu frame_ns_median=%.0f frame_ns_p99=%.0f frame_ns_max=%.0f dirty_median=%.4f "
         "dirty_p99=%.4f dirty_max=%.4f ", frames, times[frames / 2], times[frames * 99 / 100],
         times[frames - 1], dirty[frames / 2], dirty[frames * 99 / 100], dirty[frames - 1]);
}

/* The same frames in two VMs, one after the other: the lesser time that a frame took is its own,
 * what is above comes from other processes. */
static void worst_case(const char *path, size_t kib, size_t frames, int kind, int lua_pacing) {
  Way way;
  Bench bench = {.kib = kib};
  Load load = {0, "scattered", 1};
  size_t peak_bytes = 0;
  double *times = calloc(frames, sizeof *times), *dirty = calloc(frames, sizeof *dirty);
  size_t memory_size = kib * 1024 * 4 + 16 * MIB;
  for (int repeat = 0; repeat < 2; repeat++) {
    if (!way_open(&way, kind, memory_size, 8, lua_pacing)) break;
    bench.entities = build_world(way.L, path, kib);
    load.touched = part(&bench, 10);
    way_snap(&way); /* the first one copies everything */
    for (size_t i = 0; i < frames; i++) {
      double time = run_frame(&way, &load) + snap(&way);
      if (repeat == 0 || time < times[i]) times[i] = time;
      rlua_Info info = way_info(&way);
      dirty[i] = (double)info.dirty_pages / (double)((info.used_bytes + 4095) / 4096);
    }
    peak_bytes = way_info(&way).peak_bytes;
    way_close(&way);
  }
  if (peak_bytes > 0) {
    print_load("worst", &bench, kind, 10, load);
    print_worst(times, dirty, frames);
    printf("pacing=%s peak_kib=%zu\n", lua_pacing ? "lua" : "default", peak_bytes / 1024);
  }
  free(times);
  free(dirty);
}

static void worst(const char *path, size_t kib, size_t frames) {
  static const int kinds[] = {WAY_NONE, WAY_COMPARE, WAY_UFFD, WAY_AUTO, WAY_CARDS};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    worst_case(path, kib, frames, kinds[i], 0);
  worst_case(path, kib, frames, WAY_NONE, 1);
  worst_case(path, kib, frames, WAY_AUTO, 1);
}

static void memory(const char *path, size_t kib) {
  for (int kind = WAY_COMPARE; kind < WAY_COUNT; kind++) {
    Way way;
    size_t dirty_pages = 0;
    if (!way_open(&way, kind, kib * 1024 * 4 + 16 * MIB, 20, 0)) continue;
    Bench bench = {.kib = kib, .entities = build_world(way.L, path, kib)};
    Load load = {part(&bench, 10), "scattered", 0};
    for (int i = 0; i < 60; i++) {
      run_frame(&way, &load);
      way_snap(&way);
      if (i >= 40) dirty_pages += way_info(&way).dirty_pages;
    }
    rlua_Info info = way_info(&way);
    double bound = (double)info.used_bytes + (double)dirty_pages * 4096;
    print_load("memory", &bench, kind, 10, load);
    printf("snapshots=%zu used_bytes=%zu dirty_bytes=%zu snapshot_bytes=%zu of_bound=%.3f\n",
           info.snapshot_count, info.used_bytes, dirty_pages * 4096, info.snapshot_bytes,
           (double)info.snapshot_bytes / bound);
    way_close(&way);
  }
}

static size_t resident_bytes(void) {
  FILE *file = fopen("/proc/self/statm", "r");
  unsigned long total, resident;
  if (file == NULL || fscanf(file, "%lu %lu", &total, &resident) != 2) return 0;
  fclose(file);
  return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static const char fill[] =
  "local kib = ... local t = {} data = t\n"
  "repeat\n"
  "  while collectgarbage'count' < kib do t[#t + 1] = { #t, x = #t } end\n"
  "  collectgarbage()\n"
  "until collectgarbage'count' >= kib";

static double snap_all(Way *ways, size_t count) {
  double start = now_ns();
  for (size_t i = 0; i < count; i++) way_snap(&ways[i]);
  return (now_ns() - start) / (double)count;
}

/* Many small VMs that nothing runs in: a server's rooms between two ticks. */
static void idle_case(int kind, size_t count, size_t kib) {
  Way *ways = calloc(count, sizeof *ways);
  size_t before = resident_bytes(), live = 0, used = 0, kept = 0;
  for (size_t i = 0; i < count; i++) {
    if (!way_open(&ways[i], kind, MIB, 2, 0)) {
      free(ways);
      return;
    }
    lua_State *L = ways[i].L;
    luaL_openlibs(L);
    if (luaL_loadstring(L, fill) != LUA_OK) die("%s", lua_tostring(L, -1));
    lua_pushinteger(L, (lua_Integer)kib);
    call(L, 1, 0);
  }
  size_t built = resident_bytes() - before;
  double first = snap_all(ways, count);
  double again[3];
  for (int i = 0; i < 3; i++) again[i] = snap_all(ways, count);
  size_t snapped = resident_bytes() - before;
  for (size_t i = 0; i < count; i++) {
    lua_State *L = ways[i].L;
    live += (size_t)lua_gc(L, LUA_GCCOUNT) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB);
    used += way_info(&ways[i]).used_bytes;
    kept += way_info(&ways[i]).snapshot_bytes;
  }
  printf("idle %s vms=%zu vm_kib=%zu first_snap_ns=%.0f next_snap_ns=%.0f live_bytes=%zu "
         "used_bytes=%zu snapshot_bytes=%zu resident_built=%zu resident_snapped=%zu\n",
         way_name(kind), count, kib, first, median(again, 3), live, used, kept, built, snapped);
  for (size_t i = 0; i < count; i++) way_close(&ways[i]);
  free(ways);
}

/* The script runs in a coroutine. When a period is over, a signal sets a hook, and the hook
 * yields to the host, which may then snap: Lua is not running. */
static lua_State *volatile running;

static void yield_hook(lua_State *L, lua_Debug *event) {
  (void)event;
  lua_sethook(L, NULL, 0, 0);
  if (lua_isyieldable(L)) lua_yield(L, 0);
}

static void on_alarm(int number) {
  (void)number;
  lua_sethook(running, yield_hook, LUA_MASKCOUNT, 1);
}

static void set_alarm(long us) {
  struct itimerval timer = {{0, 0}, {us / 1000000, us % 1000000}};
  setitimer(ITIMER_REAL, &timer, NULL);
}

static void script_case(const char *path, int kind, long period_us) {
  Way way;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_alarm;
  sigaction(SIGALRM, &action, NULL);
  if (!way_open(&way, kind, 1024 * MIB, 8, 0)) {
    printf("unavailable %s\n", way_name(kind));
    return;
  }
  luaL_openlibs(way.L);
  running = lua_newthread(way.L);
  if (luaL_loadfile(running, path) != LUA_OK) die("%s", lua_tostring(running, -1));
  size_t snaps = 0;
  double start = now_ns(), snap_ns = 0;
  for (;;) {
    int results;
    set_alarm(period_us);
    int status = lua_resume(running, way.L, 0, &results);
    set_alarm(0);
    if (status == LUA_OK) break;
    if (status != LUA_YIELD) die("%s", lua_tostring(running, -1));
    snap_ns += snap(&way);
    snaps++;
  }
  printf("script %s total_ns=%.0f snap_ns=%.0f snaps=%zu\n", way_name(kind), now_ns() - start,
         snap_ns, snaps);
  way_close(&way);
}

static int way_of_name(const char *name) {
  for (int kind = 0; kind < WAY_COUNT; kind++)
    if (strcmp(name, way_name(kind)) == 0) return kind;
  die("no way is called %s", name);
  return -1;
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  if (strcmp(mode, "matrix") == 0 && argc == 7)
    matrix(argv[2], (size_t)atol(argv[3]), (size_t)atol(argv[4]), atoi(argv[5]),
           (size_t)atol(argv[6]));
  else if (strcmp(mode, "rollback") == 0 && argc == 5)
    rollback(argv[2], (size_t)atol(argv[3]), atoi(argv[4]));
  else if (strcmp(mode, "worst") == 0 && argc == 5)
    worst(argv[2], (size_t)atol(argv[3]), (size_t)atol(argv[4]));
  else if (strcmp(mode, "memory") == 0 && argc == 4)
    memory(argv[2], (size_t)atol(argv[3]));
  else if (strcmp(mode, "idle") == 0 && argc == 4)
    for (int kind = WAY_COMPARE; kind < WAY_COUNT; kind++)
      idle_case(kind, (size_t)atol(argv[2]), (size_t)atol(argv[3]));
  else if (strcmp(mode, "script") == 0 && argc == 5)
    script_case(argv[2], way_of_name(argv[3]), atol(argv[4]));
  else
    die("see the comment at the top of world.c for the modes");
  return 0;
}
