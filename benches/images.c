/* images.c: images, checksums and clones of the entity worlds of world.lua.
 *
 *   images WORLD_LUA IMAGES_LUA [ROUNDS]
 *
 * Each line is the median of the subject, of a memcpy of as many bytes (into memory that was
 * written before), their ratio, and bytes of the image a nanosecond (GB/s), in CPU time; the two
 * take turns, so that what else the machine does to caches and memory falls on both. A table
 * serializer in Lua (images.lua) does the world's entities alone, and runs a few times.
 * Not here: what a capture costs (world.c).
 */
#define _POSIX_C_SOURCE 200809L
#include <stdint.h>
#include <string.h>

#include "rlua.h"
#include "lauxlib.h"
#include "lualib.h"

#define PROGRAM "images"
#include "measure.h"

#define MIB ((size_t)1 << 20)
enum { SNAPSHOTS = 8, SERIALIZED = 5 };

typedef struct World {
  lua_State *L;
  lua_Integer entities;
  size_t bytes;      /* of the image */
  char *image, *room;   /* a good one; as much memory that is written to */
  lua_State *spectator; /* follows by deltas */
  size_t delta_bytes;
} World;

/* The thread's own time: what takes milliseconds would else contain turns of other processes. */
static double cpu_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* A measurement; what it answers is the time that counts, in nanoseconds. */
typedef double (*Measure)(World *world);

static rlua_Config load_config(int trust) {
  rlua_Config config;
  memset(&config, 0, sizeof config);
  config.size = sizeof config;
  config.max_snapshots = SNAPSHOTS;
  config.trust = trust;
  return config;
}

static lua_State *load(const World *world, int trust) {
  rlua_Config config = load_config(trust);
  lua_State *L = NULL;
  OK(rlua_load_buffer(&config, world->image, world->bytes, &L));
  return L;
}

static void call(lua_State *L, int arguments, int results) {
  if (lua_pcall(L, arguments, results, 0) != LUA_OK) fail(lua_tostring(L, -1));
}

/* A part of the entities, scattered; in parts of 1000. */
static void run_frame(lua_State *L, lua_Integer entities, int per_mille) {
  lua_getglobal(L, "frame");
  lua_pushinteger(L, entities * per_mille / 1000);
  lua_pushstring(L, "scattered");
  lua_pushboolean(L, 0);
  call(L, 3, 0);
}

/* -- what is measured -------------------------------------------------------------------------- */

static double copy(World *world) {
  double start = cpu_ns();
  memcpy(world->room, world->image, world->bytes);
  return cpu_ns() - start;
}

static double save(World *world) {
  size_t length;
  double start = cpu_ns();
  OK(rlua_save_buffer(world->L, world->room, world->bytes, &length));
  double spent = cpu_ns() - start;
  if (length != world->bytes) fail("a save of the same state has another length");
  return spent;
}

static int write_part(void *ud, const void *bytes, size_t length) {
  char **at = ud;
  memcpy(*at, bytes, length);
  *at += length;
  return 0;
}

static double save_by_writer(World *world) {
  char *at = world->room;
  double start = cpu_ns();
  OK(rlua_save(world->L, write_part, &at));
  return cpu_ns() - start;
}

static double load_trusting(World *world, int trust) {
  double start = cpu_ns();
  lua_State *L = load(world, trust);
  double spent = cpu_ns() - start;
  lua_close(L);
  return spent;
}

static double load_proved(World *world) {
  return load_trusting(world, RLUA_TRUST_PROVED);
}

static double load_own(World *world) {
  return load_trusting(world, RLUA_TRUST_OWN);
}

static double clone(World *world) {
  lua_State *L;
  double start = cpu_ns();
  OK(rlua_clone(world->L, &L));
  double spent = cpu_ns() - start;
  lua_close(L);
  return spent;
}

/* Of a VM that has never had one: nothing can be kept of it. */
static double first_checksum(World *world) {
  rlua_Checksum sum;
  lua_State *L = load(world, RLUA_TRUST_OWN);
  double start = cpu_ns();
  OK(rlua_checksum(L, &sum));
  double spent = cpu_ns() - start;
  lua_close(L);
  return spent;
}

/* As a peer does it in each frame: the frame, a capture, and the checksum, which is counted. */
static double checksum_of_a_frame(World *world) {
  rlua_Checksum sum;
  run_frame(world->L, world->entities, 10);
  OK(rlua_snap(world->L));
  double start = cpu_ns();
  OK(rlua_checksum(world->L, &sum));
  return cpu_ns() - start;
}

static double capture_of_a_frame(World *world) {
  run_frame(world->L, world->entities, 10);
  double start = cpu_ns();
  OK(rlua_snap(world->L));
  return cpu_ns() - start;
}

/* -- deltas: a spectator follows each frame ---------------------------------------------------- */

static rlua_Info info_of(lua_State *L) {
  rlua_Info info = {.size = sizeof info};
  OK(rlua_info(L, &info));
  return info;
}

typedef struct Part {
  const char *at;
  size_t left;
} Part;

static size_t read_part(void *ud, void *bytes, size_t length) {
  Part *part = ud;
  if (length > part->left) length = part->left;
  memcpy(bytes, part->at, length);
  part->at += length;
  part->left -= length;
  return length;
}

static void follow(World *world, double *saved_ns, double *applied_ns) {
  capture_of_a_frame(world);
  if (world->spectator == NULL) {
    size_t length;
    OK(rlua_save_buffer(world->L, world->room, world->bytes, &length));
    rlua_Config config = load_config(RLUA_TRUST_OWN);
    OK(rlua_load_buffer(&config, world->room, length, &world->spectator));
    capture_of_a_frame(world);
  }
  rlua_Info info = info_of(world->L);
  char *at = world->room;
  double start = cpu_ns();
  OK(rlua_save_delta(world->L, info.newest_frame - 1, info.newest_frame, write_part, &at));
  *saved_ns = cpu_ns() - start;
  world->delta_bytes = (size_t)(at - world->room);
  Part part = {world->room, world->delta_bytes};
  start = cpu_ns();
  OK(rlua_apply_delta(world->spectator, NULL, read_part, &part));
  *applied_ns = cpu_ns() - start;
}

static double save_delta(World *world) {
  double saved_ns, applied_ns;
  follow(world, &saved_ns, &applied_ns);
  return saved_ns;
}

static double apply_delta(World *world) {
  double saved_ns, applied_ns;
  follow(world, &saved_ns, &applied_ns);
  return applied_ns;
}

static double bound(World *world) {
  size_t length;
  double start = cpu_ns();
  OK(rlua_save_bound(world->L, &length));
  return cpu_ns() - start;
}


static double serialize(World *world) {
  lua_getglobal(world->L, "serialize");
  double start = cpu_ns();
  call(world->L, 0, 1);
  double spent = cpu_ns() - start;
  lua_setglobal(world->L, "text");
  return spent;
}

static double deserialize(World *world) {
  lua_getglobal(world->L, "deserialize");
  lua_getglobal(world->L, "text");
  double start = cpu_ns();
  call(world->L, 1, 1);
  double spent = cpu_ns() - start;
  lua_settop(world->L, 0);
  return spent;
}

/* -- lines ------------------------------------------------------------------------------------- */

static double compare(const char *name, Measure subject, World *world, int rounds) {
  static double ours[MAX_ROUNDS], copies[MAX_ROUNDS];
  for (int i = -2; i < rounds; i++) {
    double a = subject(world), b = copy(world);
    if (i < 0) continue;
    ours[i] = a;
    copies[i] = b;
  }
  double a = median(ours, rounds), b = median(copies, rounds);
  printf("%-28s %12.1f %12.1f %8.2fx %9.2f\n", name, a / 1e3, b / 1e3, a / b,
         (double)world->bytes / a);
  return a;
}

static void open_world(World *world, const char *path, const char *serializer, size_t kib) {
  rlua_Config config = {.size = sizeof config, .memory_size = kib * 1024 * 4 + 64 * MIB,
                        .max_snapshots = SNAPSHOTS};
  OK(rlua_open(&config, &world->L));
  luaL_openlibs(world->L);
  if (luaL_dofile(world->L, path) != LUA_OK || luaL_dofile(world->L, serializer) != LUA_OK)
    fail(lua_tostring(world->L, -1));
  lua_settop(world->L, 0);
  lua_getglobal(world->L, "grow");
  lua_pushinteger(world->L, (lua_Integer)kib);
  call(world->L, 1, 1);
  world->entities = lua_tointeger(world->L, -1);
  lua_settop(world->L, 0);
  for (int i = 0; i <= SNAPSHOTS; i++) {
    run_frame(world->L, world->entities, 10);
    OK(rlua_snap(world->L));
  }
  if (rlua_save_buffer(world->L, NULL, 0, &world->bytes) != RLUA_STREAM)
    fail(rlua_last_error(world->L));
  world->image = malloc(world->bytes);
  world->room = malloc(world->bytes);
  if (world->image == NULL || world->room == NULL) fail("no memory");
  OK(rlua_save_buffer(world->L, world->image, world->bytes, &world->bytes));
  memset(world->room, 1, world->bytes);
}

static void measure(const char *path, const char *serializer, size_t kib, int rounds) {
  World world = {0};
  open_world(&world, path, serializer, kib);
  if (kib > 4096 && rounds > 21) rounds = 21;
  printf("\nworld of %zu MiB: %zu bytes used, %lld entities, an image of %zu bytes\n", kib / 1024,
         (size_t)info_of(world.L).used_bytes, (long long)world.entities, world.bytes);
  printf("%-28s %12s %12s %9s %9s\n", "us each", "subject", "memcpy", "ratio", "GB/s");
  double saved = compare("save", save, &world, rounds);
  compare("save by a writer", save_by_writer, &world, rounds);
  double loaded = compare("load, of the host's own", load_own, &world, rounds);
  compare("load, proved", load_proved, &world, rounds);
  compare("clone", clone, &world, rounds);
  compare("checksum, the first", first_checksum, &world, rounds);
  compare("checksum, 1 % scattered", checksum_of_a_frame, &world, rounds);
  compare("capture of that frame", capture_of_a_frame, &world, rounds);
  compare("delta of that frame", save_delta, &world, rounds);
  compare("that delta, applied", apply_delta, &world, rounds);
  compare("bound of a save", bound, &world, rounds);
  double texts = compare("serializer in Lua", serialize, &world, SERIALIZED);
  double tables = compare("its text, loaded", deserialize, &world, SERIALIZED);
  printf("a delta has %zu bytes\n", world.delta_bytes);
  printf("a serializer in Lua takes %.0f times a save, and its text %.0f times a load\n",
         texts / saved, tables / loaded);
  lua_close(world.spectator);
  free(world.image);
  free(world.room);
  lua_close(world.L);
}

static void bare(void) {
  lua_State *L = rlua_new_rollback(0, 0);
  size_t length = 0;
  if (L == NULL) fail("no VM");
  luaL_openlibs(L);
  lua_gc(L, LUA_GCCOLLECT);
  rlua_save_buffer(L, NULL, 0, &length);
  size_t lua_bytes = (size_t)lua_gc(L, LUA_GCCOUNT) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB);
  printf("a bare VM with all libraries: %zu bytes used, %zu of them Lua's, an image of %zu bytes\n",
         (size_t)info_of(L).used_bytes, lua_bytes, length);
  lua_close(L);
}

int main(int argc, char **argv) {
  if (argc < 3) fail("WORLD_LUA IMAGES_LUA [ROUNDS]");
  int rounds = rounds_of(argc - 2, argv + 2);
  bare();
  static const size_t worlds_kib[] = {1024, 4096, 16384};
  for (size_t i = 0; i < sizeof worlds_kib / sizeof *worlds_kib; i++)
    measure(argv[1], argv[2], worlds_kib[i], rounds);
  return 0;
}
