/* world.c: measures snapshots of game worlds in one process, every way against the others.
 *
 *   world [options] matrix WORLD_LUA KIB KEPT ROUNDS FRAMES   capture, for each load
 *   world [options] rollback WORLD_LUA KIB KEPT ROUNDS        back by 1, 4, 8, 20; netcode pattern
 *   world [options] frames WORLD_LUA KIB KEPT FRAMES          frame and capture, as a player waits
 *   world [options] memory WORLD_LUA KIB                      what 20 snapshots take
 *   world [options] untouched WORLD_LUA KIB ROUNDS            a VM that nothing ran in
 *   world [options] idle COUNT KIB                            many small VMs
 *   world [options] script SCRIPT PERIOD_US                   a script, with a snapshot each period
 *
 *   -w WAY,...   which ways (way.c); `none` is always among them
 *   -p LIBRARY   frames without snapshots run in this librlua.so too, as `plain`, and the others
 *                are compared with these: built without marks of writes, it shows their price
 *   -t PART,...  entities touched in a frame, in thousandths
 *   -o PATTERN,...  of world.lua
 *   -a 0,1       without and with allocation
 *   -g           the collector paced as in lua_newstate
 *
 * Each line of the output is `name way key=value ...`, for one round. Method: every way has a VM
 * with the same world, and blocks of frames take turns. All VMs do the same work, so the cost
 * of a way is the capture, and what the frame took more than the same frame without snapshots:
 * write faults, marks and cache misses count. A frame that got faster counts as no change, since it
 * is noise, or a cache that the capture has warmed for it: a line's total_ns has both, as a player
 * waits for them.
 *
 * Not here: the ways themselves (way.c, best.c), medians over rounds and tables (world.py).
 */
#define _GNU_SOURCE
#define PROGRAM "world"
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "best.h"
#include "measure.h"
#include "way.h"

#define MIB ((size_t)1 << 20)
enum { LIST_MAX = 16, FRAMES_MAX = 64, EVICTED_BYTES = 128 << 20 };

typedef struct Bench {
  Way ways[WAY_COUNT];
  int open[WAY_COUNT];
  int base; /* the way without snapshots that the others are compared with */
  size_t kib;
  lua_Integer entities;
} Bench;

/* What a frame touches. */
typedef struct Load {
  lua_Integer touched;
  int per_mille;
  const char *pattern; /* of world.lua */
  int allocate;
} Load;

/* The command line's options. */
static struct {
  int wanted[WAY_COUNT];
  char *parts[LIST_MAX + 1], *patterns[LIST_MAX + 1], *allocate[LIST_MAX + 1];
  int lua_pacing;
} options;

static double median_of(const double *values, size_t count) {
  double sorted[FRAMES_MAX];
  memcpy(sorted, values, count * sizeof *values);
  return median(sorted, (int)count);
}

static double at_least_zero(double value) {
  return value > 0 ? value : 0;
}

static void call(const Way *way, int arguments, int results) {
  if (way->library->lua_pcallk(way->L, arguments, results, 0, 0, NULL) != LUA_OK)
    die("%s", way->library->lua_tolstring(way->L, -1, NULL));
}

static double run_frame(const Way *way, const Load *load) {
  const Library *lua = way->library;
  double start = now_ns();
  lua->lua_getglobal(way->L, "frame");
  lua->lua_pushinteger(way->L, load->touched);
  lua->lua_pushstring(way->L, load->pattern);
  lua->lua_pushboolean(way->L, load->allocate);
  call(way, 3, 0);
  return now_ns() - start;
}

static double snap(Way *way) {
  double start = now_ns();
  way_snap(way);
  return now_ns() - start;
}

/* A VM without snapshots goes back by its counters alone: its next frames touch what they touched.
 */
static double back(Way *way, size_t n, const Load *load) {
  double start = now_ns();
  way_rollback(way, n);
  double spent = now_ns() - start;
  if (way->kind <= WAY_NONE) {
    way->library->lua_getglobal(way->L, "rewind");
    way->library->lua_pushinteger(way->L, (lua_Integer)n);
    way->library->lua_pushinteger(way->L, load->touched);
    call(way, 2, 0);
  }
  return spent;
}

static lua_Integer call_for_integer(const Way *way, int arguments) {
  call(way, arguments, 1);
  lua_Integer number = way->library->lua_tointegerx(way->L, -1, NULL);
  way->library->lua_settop(way->L, -2);
  return number;
}

static lua_Integer digest(const Way *way) {
  way->library->lua_getglobal(way->L, "digest");
  return call_for_integer(way, 0);
}

static lua_Integer build_world(const Way *way, const char *path, size_t kib) {
  const Library *lua = way->library;
  lua->luaL_openlibs(way->L);
  if (lua->luaL_loadfilex(way->L, path, NULL) != LUA_OK)
    die("%s", lua->lua_tolstring(way->L, -1, NULL));
  call(way, 0, 0);
  lua->lua_getglobal(way->L, "grow");
  lua->lua_pushinteger(way->L, (lua_Integer)kib);
  return call_for_integer(way, 1);
}

static int open_way(Bench *bench, int kind, const char *path, size_t kept) {
  Way *way = &bench->ways[kind];
  bench->open[kind] = options.wanted[kind] &&
    way_open(way, kind, bench->kib * 1024 * 4 + 16 * MIB, kept, options.lua_pacing);
  if (bench->open[kind]) bench->entities = build_world(way, path, bench->kib);
  else if (options.wanted[kind])
    printf("unavailable %s world_kib=%zu\n", way_name(kind), bench->kib);
  return bench->open[kind];
}

static void open_bench(Bench *bench, const char *path, size_t kib, size_t kept) {
  memset(bench, 0, sizeof *bench);
  bench->kib = kib;
  for (int kind = 0; kind < WAY_COUNT; kind++) open_way(bench, kind, path, kept);
  bench->base = bench->open[WAY_PLAIN] ? WAY_PLAIN : WAY_NONE;
}

/* Before the VMs go: whether the baselines are what they claim to be. */
static void close_bench(Bench *bench) {
  for (int kind = 0; kind < WAY_COUNT; kind++) {
    Way *way = &bench->ways[kind];
    if (!bench->open[kind]) continue;
    way_snap(way);
    way_check_copy(way);
    if (kind == WAY_COPY_BEST)
      printf("huge %s world_kib=%zu method=%s copy_bytes=%zu huge_bytes=%ld\n", way_name(kind),
             bench->kib, best_method(), way_copy_bytes(way), way_huge_bytes(way));
    way_close(way);
  }
}

/* A part of the entities in units of 1/1000, at least one unless the part is zero. */
static Load load_of(const Bench *bench, int per_mille, const char *pattern, int allocate) {
  Load load = {bench->entities * per_mille / 1000, per_mille, pattern, allocate};
  if (per_mille > 0 && load.touched == 0) load.touched = 1;
  return load;
}

static void print_load(const char *name, const Bench *bench, int way, const Load *load) {
  printf("%s %s world_kib=%zu touched_permille=%d pattern=%s allocate=%d ", name, way_name(way),
         bench->kib, load->per_mille, load->pattern, load->allocate);
}

/* One block of frames of every way; prints what each way added to the same frames. */
static void capture_round(Bench *bench, const Load *load, int round, size_t frames) {
  static double frame[WAY_COUNT][FRAMES_MAX], capture[WAY_COUNT][FRAMES_MAX];
  double slower[FRAMES_MAX], dirty[FRAMES_MAX], total[FRAMES_MAX];
  for (int turn = 0; turn < WAY_COUNT; turn++) {
    int kind = (turn + round) % WAY_COUNT;
    Way *way = &bench->ways[kind];
    if (!bench->open[kind]) continue;
    for (size_t i = 0; i < frames; i++) {
      frame[kind][i] = run_frame(way, load);
      capture[kind][i] = snap(way);
      dirty[i] = (double)way_info(way).dirty_pages;
    }
    way->dirty_pages = median_of(dirty, frames);
  }
  for (int kind = 0; kind < WAY_COUNT; kind++) {
    if (!bench->open[kind]) continue;
    for (size_t i = 0; i < frames; i++) {
      slower[i] = frame[kind][i] - frame[bench->base][i];
      total[i] = frame[kind][i] + capture[kind][i];
    }
    double capture_ns = median_of(capture[kind], frames), slower_ns = median_of(slower, frames);
    print_load("capture", bench, kind, load);
    printf("added_ns=%.0f capture_ns=%.0f slower_ns=%.0f frame_ns=%.0f total_ns=%.0f "
           "dirty_pages=%.0f used_pages=%zu\n", at_least_zero(slower_ns) + capture_ns, capture_ns,
           slower_ns, median_of(frame[kind], frames), median_of(total, frames),
           bench->ways[kind].dirty_pages, way_info(&bench->ways[kind]).used_bytes / 4096);
  }
}

static void capture_case(Bench *bench, const Load *load, size_t kept, int rounds, size_t frames) {
  for (int kind = 0; kind < WAY_COUNT; kind++) { /* fills the history: the steady state */
    Way *way = &bench->ways[kind];
    for (size_t i = 0; bench->open[kind] && i <= 2 * kept; i++) {
      run_frame(way, load);
      way_snap(way);
    }
  }
  for (int round = 0; round < rounds; round++) capture_round(bench, load, round, frames);
}

/* A way that loses or invents a write ends in another world. */
static void check_digests(const Bench *bench) {
  lua_Integer expected = digest(&bench->ways[WAY_NONE]);
  for (int kind = 0; kind < WAY_COUNT; kind++)
    if (bench->open[kind] && digest(&bench->ways[kind]) != expected)
      die("%s went another way than the VM without snapshots", way_name(kind));
}

static void matrix(const char *path, size_t kib, size_t kept, int rounds, size_t frames) {
  Bench bench;
  if (frames > FRAMES_MAX) die("at most %d frames a round", FRAMES_MAX);
  open_bench(&bench, path, kib, kept);
  for (char **allocate = options.allocate; *allocate != NULL; allocate++)
    for (char **part = options.parts; *part != NULL; part++)
      for (char **pattern = options.patterns; *pattern != NULL; pattern++) {
        Load load = load_of(&bench, atoi(*part), *pattern, atoi(*allocate));
        if (load.touched > 0 || (allocate == options.allocate && pattern == options.patterns))
          capture_case(&bench, &load, kept, rounds, frames); /* nothing touched: one case */
      }
  check_digests(&bench);
  close_bench(&bench);
}

/* Runs `n` frames, a snapshot before each, then goes back over all of them. */
static void rollback_case(Bench *bench, const Load *load, size_t n, int rounds) {
  for (int round = -1; round < rounds; round++) {
    double after_base = 0;
    for (int kind = 0; kind < WAY_COUNT; kind++) {
      Way *way = &bench->ways[kind];
      if (!bench->open[kind]) continue;
      for (size_t i = 0; i < n; i++) {
        if (i == 0 || kind != WAY_COPY_REUSED) way_snap(way); /* one block: the target only */
        run_frame(way, load);
      }
      double spent = back(way, n, load);
      double after = run_frame(way, load);
      if (kind == bench->base) after_base = after;
      if (round < 0) continue; /* the first round fills pools */
      print_load("rollback", bench, kind, load);
      printf("n=%zu rollback_ns=%.0f added_after_ns=%.0f\n", n, spent, after - after_base);
    }
  }
}

/* What a host does in each tick of a game with late inputs: eight frames back, eight again. */
static void netcode_case(Bench *bench, const Load *load, int rounds) {
  double base = 0;
  for (int round = -2; round < rounds; round++) {
    for (int kind = 0; kind < WAY_COUNT; kind++) {
      Way *way = &bench->ways[kind];
      if (!bench->open[kind] || kind == WAY_COPY_REUSED) continue; /* it keeps too little */
      double own = round > -2 ? back(way, 8, load) : 0, frames = 0;
      for (int i = 0; i < (round > -2 ? 8 : 9); i++) { /* the first round fills the history */
        frames += run_frame(way, load);
        own += snap(way);
      }
      if (kind == bench->base) base = frames;
      if (round < 0) continue;
      print_load("netcode", bench, kind, load);
      printf("added_ns=%.0f own_ns=%.0f frames_ns=%.0f total_ns=%.0f\n",
             own + at_least_zero(frames - base), own, frames, own + frames);
    }
  }
}

static void rollback(const char *path, size_t kib, size_t kept, int rounds) {
  static const size_t depths[] = {1, 4, 8, 20};
  Bench bench;
  if (kept < 9) die("rollback by 8, and one frame more, needs 9 moments");
  open_bench(&bench, path, kib, kept);
  for (char **allocate = options.allocate; *allocate != NULL; allocate++) {
    Load load = load_of(&bench, 10, "scattered", atoi(*allocate));
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++)
      if (depths[i] <= kept) rollback_case(&bench, &load, depths[i], rounds);
    netcode_case(&bench, &load, rounds);
  }
  close_bench(&bench);
}

typedef struct Frames {
  double *times, *dirty;
  size_t peak_bytes;
} Frames;

static void print_frames(Frames *of, size_t frames) {
  qsort(of->times, frames, sizeof *of->times, by_value);
  qsort(of->dirty, frames, sizeof *of->dirty, by_value);
  printf("frames=%zu total_ns_median=%.0f total_ns_p99=%.0f total_ns_max=%.0f dirty_median=%.4f "
         "dirty_p99=%.4f dirty_max=%.4f ", frames, of->times[frames / 2],
         of->times[frames * 99 / 100], of->times[frames - 1], of->dirty[frames / 2],
         of->dirty[frames * 99 / 100], of->dirty[frames - 1]);
  printf("pacing=%s peak_kib=%zu\n", options.lua_pacing ? "lua" : "default",
         of->peak_bytes / 1024);
}

/* Blocks of frames in turns. The first frame of a block finds the caches full of other VMs, and is
 * not counted. */
static void frames_repeat(Bench *bench, const Load *load, Frames *of, size_t frames, int repeat) {
  enum { BLOCK = 100 };
  for (size_t done = 0; done < frames; done += BLOCK)
    for (int kind = 0; kind < WAY_COUNT; kind++) {
      Way *way = &bench->ways[kind];
      if (!bench->open[kind]) continue;
      run_frame(way, load);
      way_snap(way);
      for (size_t i = done; i < done + BLOCK && i < frames; i++) {
        double time = run_frame(way, load) + snap(way);
        if (repeat == 0 || time < of[kind].times[i]) of[kind].times[i] = time;
        rlua_Info info = way_info(way);
        of[kind].dirty[i] = (double)info.dirty_pages / (double)((info.used_bytes + 4095) / 4096);
        of[kind].peak_bytes = info.peak_bytes;
      }
    }
}

/* The same frames three times, in new VMs: the least time that a frame took is its own, what is
 * above comes from other processes. */
static void frames_case(const char *path, size_t kib, size_t kept, size_t frames, int allocate) {
  enum { REPEATS = 3 };
  static Bench bench;
  Frames of[WAY_COUNT];
  Load load = {0, 0, NULL, 0};
  for (int kind = 0; kind < WAY_COUNT; kind++) {
    of[kind].times = calloc(frames, sizeof(double));
    of[kind].dirty = calloc(frames, sizeof(double));
  }
  for (int repeat = 0; repeat < REPEATS; repeat++) {
    open_bench(&bench, path, kib, kept);
    load = load_of(&bench, 10, "scattered", allocate);
    for (int kind = 0; kind < WAY_COUNT; kind++) /* the first snapshots copy everything */
      for (size_t i = 0; bench.open[kind] && i <= kept; i++) {
        run_frame(&bench.ways[kind], &load);
        way_snap(&bench.ways[kind]);
      }
    frames_repeat(&bench, &load, of, frames, repeat);
    check_digests(&bench);
    close_bench(&bench);
  }
  for (int kind = 0; kind < WAY_COUNT; kind++) {
    if (bench.open[kind]) {
      print_load("frames", &bench, kind, &load);
      print_frames(&of[kind], frames);
    }
    free(of[kind].times);
    free(of[kind].dirty);
  }
}

static void memory(const char *path, size_t kib) {
  for (int kind = WAY_TRACKERS; kind < WAY_COUNT; kind++) {
    Bench bench = {.kib = kib};
    Way *way = &bench.ways[kind];
    size_t dirty_pages = 0;
    if (!open_way(&bench, kind, path, 20)) continue;
    Load load = load_of(&bench, 10, "scattered", 0);
    for (int i = 0; i < 60; i++) {
      run_frame(way, &load);
      way_snap(way);
      if (i >= 40) dirty_pages += way_info(way).dirty_pages;
    }
    rlua_Info info = way_info(way);
    double bound = (double)info.used_bytes + (double)dirty_pages * 4096;
    print_load("memory", &bench, kind, &load);
    printf("snapshots=%zu used_bytes=%zu dirty_bytes=%zu snapshot_bytes=%zu of_bound=%.3f\n",
           info.snapshot_count, info.used_bytes, dirty_pages * 4096, info.snapshot_bytes,
           (double)info.snapshot_bytes / bound);
    way_close(way);
  }
}

/* Fills the caches with other memory. */
static void evict(void) {
  static volatile char *other;
  if (other == NULL && (other = malloc(EVICTED_BYTES)) == NULL) die("no memory to evict caches");
  for (size_t i = 0; i < EVICTED_BYTES; i += 64) other[i]++;
}

static void untouched(const char *path, size_t kib, int rounds) {
  enum { SNAPS = 100 };
  Bench bench;
  open_bench(&bench, path, kib, 8);
  Load load = load_of(&bench, 10, "scattered", 0);
  for (int round = 0; round < rounds; round++)
    for (int kind = WAY_NONE + 1; kind < WAY_COUNT; kind++) {
      Way *way = &bench.ways[kind];
      if (!bench.open[kind]) continue;
      run_frame(way, &load);
      way_snap(way);
      evict();
      double cold = snap(way), start = now_ns();
      int snaps = kind < WAY_TRACKERS ? SNAPS / 10 : SNAPS;
      for (int i = 0; i < snaps; i++) way_snap(way);
      printf("untouched %s world_kib=%zu cost_ns=%.1f cold_ns=%.0f\n", way_name(kind), kib,
             (now_ns() - start) / snaps, cold);
    }
  close_bench(&bench);
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

/* A snapshot of each, one VM after another. */
static double snap_all(Way *ways, size_t count) {
  double start = now_ns();
  for (size_t i = 0; i < count; i++) way_snap(&ways[i]);
  return (now_ns() - start) / (double)count;
}

/* Many small VMs that nothing runs in: a server's rooms between two ticks. One way after another:
 * a process has no addresses for more. */
static void idle_case(int kind, size_t count, size_t kib) {
  enum { PASSES = 5 };
  Way *ways = calloc(count, sizeof *ways);
  evict(); /* so that its buffer is in `before` */
  size_t before = resident_bytes(), live = 0, used = 0, kept = 0;
  for (size_t i = 0; i < count; i++) {
    if (!way_open(&ways[i], kind, MIB, 2, options.lua_pacing)) {
      printf("unavailable %s vms=%zu\n", way_name(kind), count);
      free(ways);
      return;
    }
    lua_State *L = ways[i].L;
    luaL_openlibs(L);
    if (luaL_loadstring(L, fill) != LUA_OK) die("%s", lua_tostring(L, -1));
    lua_pushinteger(L, (lua_Integer)kib);
    call(&ways[i], 1, 0);
  }
  size_t built = resident_bytes() - before;
  double first = snap_all(ways, count), again[PASSES], cold[PASSES];
  for (int i = 0; i < PASSES; i++) again[i] = snap_all(ways, count);
  for (int i = 0; i < PASSES; i++) evict(), cold[i] = snap_all(ways, count);
  size_t snapped = resident_bytes() - before;
  for (size_t i = 0; i < count; i++) {
    lua_State *L = ways[i].L;
    live += (size_t)lua_gc(L, LUA_GCCOUNT) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB);
    used += way_info(&ways[i]).used_bytes;
    kept += way_info(&ways[i]).snapshot_bytes;
  }
  printf("idle %s vms=%zu vm_kib=%zu first_snap_ns=%.0f next_snap_ns=%.0f cold_snap_ns=%.0f ",
         way_name(kind), count, kib, first, median(again, PASSES), median(cold, PASSES));
  printf("live_bytes=%zu used_bytes=%zu snapshot_bytes=%zu resident_built=%zu "
         "resident_snapped=%zu\n", live, used, kept, built, snapped);
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

/* Splits at commas, in place. */
static void split(char *text, char **list) {
  int count = 0;
  for (char *item = strtok(text, ","); item != NULL; item = strtok(NULL, ",")) {
    if (count == LIST_MAX) die("at most %d items in a list", LIST_MAX);
    list[count++] = item;
  }
  list[count] = NULL;
}

static void want(char *text) {
  char *list[LIST_MAX + 1];
  split(text, list);
  options.wanted[WAY_NONE] = 1;
  for (char **name = list; *name != NULL; name++) {
    int kind = way_of_name(*name);
    if (kind < 0) die("too many ways");
    options.wanted[kind] = 1;
  }
}

static void read_options(int argc, char **argv) {
  static char parts[] = "0,1,10,50,200,1000", patterns[] = "scattered,same,clustered";
  static char allocate[] = "0,1", ways[] = "copy_fresh,copy_ring,copy_reused,copy_best,auto";
  int option, named = 0;
  split(parts, options.parts);
  split(patterns, options.patterns);
  split(allocate, options.allocate);
  while ((option = getopt(argc, argv, "w:p:t:o:a:g")) != -1) {
    if (option == 'w') want(optarg), named = 1;
    else if (option == 't') split(optarg, options.parts);
    else if (option == 'o') split(optarg, options.patterns);
    else if (option == 'a') split(optarg, options.allocate);
    else if (option == 'g') options.lua_pacing = 1;
    else if (option == 'p') way_load_plain(optarg), options.wanted[WAY_PLAIN] = 1;
    else die("see the comment at the top of world.c for the options");
  }
  if (!named) want(ways);
}

int main(int argc, char **argv) {
  read_options(argc, argv);
  char **rest = argv + optind, *mode = argc > optind ? rest[0] : "";
  int count = argc - optind;
  size_t number[5] = {0};
  for (int i = 0; i < count && i < 5; i++) number[i] = strtoul(rest[i], NULL, 10);
  if (!best_check()) die("the best copy copies wrong");
  if (strcmp(mode, "matrix") == 0 && count == 6)
    matrix(rest[1], number[2], number[3], (int)number[4], strtoul(rest[5], NULL, 10));
  else if (strcmp(mode, "rollback") == 0 && count == 5)
    rollback(rest[1], number[2], number[3], (int)number[4]);
  else if (strcmp(mode, "frames") == 0 && count == 5)
    for (char **allocate = options.allocate; *allocate != NULL; allocate++)
      frames_case(rest[1], number[2], number[3], number[4], atoi(*allocate));
  else if (strcmp(mode, "memory") == 0 && count == 3)
    memory(rest[1], number[2]);
  else if (strcmp(mode, "untouched") == 0 && count == 4)
    untouched(rest[1], number[2], (int)number[3]);
  else if (strcmp(mode, "idle") == 0 && count == 3) {
    for (int kind = WAY_TRACKERS; kind < WAY_COUNT; kind++)
      if (options.wanted[kind]) idle_case(kind, number[1], number[2]);
  } else if (strcmp(mode, "script") == 0 && count == 3) {
    for (int kind = WAY_NONE; kind < WAY_COUNT; kind++)
      if (options.wanted[kind]) script_case(rest[1], kind, (long)number[2]);
  } else
    die("see the comment at the top of world.c for the modes");
  return 0;
}
