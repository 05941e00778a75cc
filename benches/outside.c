/* outside.c: what it costs that userdata of C modules and files of scripts are guarded.
 *
 *   outside [ROUNDS]
 *
 * Each line is the medians of the subject and of its baseline in nanoseconds, and their ratio. The
 * two run alternately, so that what else the machine does falls on both. The baseline of guarded
 * userdata is the same VM with RLUA_GUARD_OFF, that of files a state of lua_newstate on malloc,
 * where the io library is Lua's own.
 * Not here: resources (calls.c), snapshots of worlds (world.c).
 */
#define _POSIX_C_SOURCE 200809L
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rlua.h"
#include "lauxlib.h"
#include "lualib.h"

#define PROGRAM "outside"
#include "measure.h"

enum { BATCH = 4000, SNAPSHOTS = 8 };

/* Does something `count` times; answers what is to be counted of the time, in nanoseconds. */
typedef double (*Work)(lua_State *L, int count);

static void compare(const char *name, Work work, lua_State *subject, lua_State *baseline,
                    int rounds, int batch) {
  static double ours[MAX_ROUNDS], theirs[MAX_ROUNDS];
  for (int i = -2; i < rounds; i++) {
    double a = work(subject, batch), b = work(baseline, batch);
    if (i < 0) continue;
    ours[i] = a / batch;
    theirs[i] = b / batch;
  }
  double a = median(ours, rounds), b = median(theirs, rounds);
  printf("%-40s %10.1f %10.1f %7.2fx %+10.1f\n", name, a, b, a / b, a - b);
}

/* -- a C module ------------------------------------------------------------------------------- */

static int finalize(lua_State *L) {
  (void)L;
  return 0;
}

static void push_thing(lua_State *L, int guarded) {
  memset(lua_newuserdatauv(L, 48, 0), 0, 48);
  luaL_setmetatable(L, guarded ? "thing" : "plain");
}

static lua_State *open_vm(int guard, int things, int guarded) {
  rlua_Config config = {.size = sizeof config, .memory_size = (size_t)64 << 20,
                        .max_snapshots = SNAPSHOTS, .guard = guard};
  lua_State *L;
  OK(rlua_open(&config, &L));
  luaL_openlibs(L);
  luaL_newmetatable(L, "thing");
  lua_pushcfunction(L, finalize);
  lua_setfield(L, -2, "__gc");
  luaL_newmetatable(L, "plain");
  lua_settop(L, 0);
  lua_createtable(L, things, 0);
  for (int i = 1; i <= things; i++) {
    push_thing(L, guarded);
    lua_rawseti(L, 1, i);
  }
  lua_gc(L, LUA_GCCOLLECT);
  lua_gc(L, LUA_GCSTOP);
  for (int i = 0; i <= SNAPSHOTS; i++) OK(rlua_snap(L));
  return L;
}

/* Making them alone; what they cost the collector is not counted. */
static double create(lua_State *L, int count) {
  double start = now_ns();
  for (int i = 0; i < count; i++) {
    push_thing(L, 1);
    lua_pop(L, 1);
  }
  double spent = now_ns() - start;
  lua_gc(L, LUA_GCCOLLECT);
  return spent;
}

/* Their whole life, and no snapshot that has them. */
static double live_and_end(lua_State *L, int count) {
  double start = now_ns();
  create(L, count);
  return now_ns() - start;
}

/* Nothing of it: userdata without a finalizer, tables, and a collection. */
static double without_any(lua_State *L, int count) {
  double start = now_ns();
  for (int i = 0; i < count; i++) {
    push_thing(L, 0);
    lua_newtable(L);
    lua_pop(L, 2);
  }
  lua_gc(L, LUA_GCCOLLECT);
  return now_ns() - start;
}

static double capture(lua_State *L, int count) {
  double start = now_ns();
  for (int i = 0; i < count; i++) OK(rlua_snap(L));
  return now_ns() - start;
}

static double restore(lua_State *L, int count) {
  double start = now_ns();
  for (int i = 0; i < count; i++) OK(rlua_rollback(L, 1));
  return now_ns() - start;
}

/* What a frame made is taken away: so many finalizers run in the restore. */
static double restore_of_new_ones(lua_State *L, int count) {
  OK(rlua_snap(L));
  for (int i = 0; i < count; i++) {
    push_thing(L, 1);
    lua_pop(L, 1);
  }
  double start = now_ns();
  OK(rlua_rollback(L, 1));
  return now_ns() - start;
}

/* -- files ------------------------------------------------------------------------------------- */

static void *allocate(void *ud, void *memory, size_t old, size_t size) {
  (void)ud, (void)old;
  if (size == 0) return free(memory), NULL;
  return realloc(memory, size);
}

static double open_and_close(lua_State *L, int count) {
  double start = now_ns();
  lua_getglobal(L, "files");
  lua_pushinteger(L, count);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) fail(lua_tostring(L, -1));
  return now_ns() - start;
}

static lua_State *with_files(lua_State *L) {
  luaL_openlibs(L);
  if (luaL_dostring(L, "function files(n) for i = 1, n do io.open('/dev/null'):close() end end\n"
                       "function writes(n) local f = io.open('/dev/null', 'w')\n"
                       "  for i = 1, n do f:write(i, ' ') end f:close() end"))
    fail("dostring");
  return L;
}

static double write_a_file(lua_State *L, int count) {
  double start = now_ns();
  lua_getglobal(L, "writes");
  lua_pushinteger(L, count);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) fail(lua_tostring(L, -1));
  return now_ns() - start;
}

int main(int argc, char **argv) {
  int rounds = rounds_of(argc, argv);
  lua_State *on = open_vm(RLUA_GUARD_ON, 0, 1), *off = open_vm(RLUA_GUARD_OFF, 0, 1);
  printf("%-40s %10s %10s %8s %10s\n", "ns each", "guarded", "baseline", "ratio", "added");
  compare("no guarded userdata: tables, collection", without_any, on, off, rounds, BATCH);
  compare("userdata: create", create, on, off, rounds, BATCH);
  compare("userdata: create, collect, finalize", live_and_end, on, off, rounds, BATCH);
  static const int living[] = {0, 100, 10000};
  for (size_t i = 0; i < sizeof living / sizeof *living; i++) {
    char name[64];
    lua_State *many = open_vm(RLUA_GUARD_ON, living[i], 1);
    lua_State *as_many = open_vm(RLUA_GUARD_OFF, living[i], 1);
    snprintf(name, sizeof name, "snapshot, %d alive", living[i]);
    compare(name, capture, many, as_many, rounds, 64);
    snprintf(name, sizeof name, "restore, %d alive", living[i]);
    compare(name, restore, many, as_many, rounds, 64);
    lua_close(many);
    lua_close(as_many);
  }
  compare("restore that takes 1000 away, each", restore_of_new_ones, on, off, rounds, 1000);
  lua_State *files = with_files(rlua_new_rollback((size_t)64 << 20, SNAPSHOTS));
  lua_State *stock = with_files(lua_newstate(allocate, NULL));
  compare("io.open and close", open_and_close, files, stock, rounds, 2000);
  compare("file:write of a number and a blank", write_a_file, files, stock, rounds, BATCH);
  OK(rlua_snap(files));
  compare("io.open and close, one snapshot held", open_and_close, files, stock, rounds, 2000);
  lua_close(on);
  lua_close(off);
  lua_close(files);
  lua_close(stock);
  return 0;
}
