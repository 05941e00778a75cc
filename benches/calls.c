/* calls.c: what the calls of parts 3 and 4 of the API cost, each beside its baseline.
 *
 *   calls [ROUNDS]
 *
 * A protected call is compared with the same through hand-written C: a C function that does it,
 * pushed and called by lua_pcall. A reference is compared with luaL_ref and lua_rawgeti on the
 * registry. A capture with living resources is compared with one of a VM that holds as many plain
 * userdata, and the table outside is asked for nothing else. What the deterministic profile costs
 * at the host's border is compared with the stock profile.
 *
 * Each line is the medians of both in nanoseconds and their ratio. The two run alternately, in
 * batches, so that what else the machine does falls on both.
 * Not here: scripts (host.c), snapshots of worlds (world.c).
 */
#define _POSIX_C_SOURCE 200809L
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "rlua.h"
#include "lauxlib.h"
#include "lualib.h"

#define PROGRAM "calls"
#include "measure.h"

enum { BATCH = 20000, RESOURCES = 10000 };

typedef void (*Work)(lua_State *L, int count);

/* Alternates the two; prints the medians of one operation. */
static void compare(const char *name, lua_State *L, Work subject, Work baseline, lua_State *other,
                    int rounds, int batch) {
  static double ours[MAX_ROUNDS], theirs[MAX_ROUNDS];
  for (int i = -2; i < rounds; i++) {
    double start = now_ns();
    subject(L, batch);
    double middle = now_ns();
    baseline(other ? other : L, batch);
    double end = now_ns();
    if (i < 0) continue;
    ours[i] = (middle - start) / batch;
    theirs[i] = (end - middle) / batch;
  }
  double a = median(ours, rounds), b = median(theirs, rounds);
  printf("%-34s %9.1f ns %9.1f ns %6.2fx\n", name, a, b, a / b);
}

/* -- protected calls ------------------------------------------------------------------------ */

static int get_body(lua_State *L) {
  lua_getfield(L, 1, "field");
  return 1;
}
static void get_by_hand(lua_State *L, int count) {
  for (int i = 0; i < count; i++) {
    lua_pushcfunction(L, get_body);
    lua_pushvalue(L, 1);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) fail("pcall");
    lua_settop(L, 1);
  }
}
static void get_protected(lua_State *L, int count) {
  for (int i = 0; i < count; i++) {
    OK(rlua_getfield(L, 1, "field"));
    lua_settop(L, 1);
  }
}

static int set_body(lua_State *L) {
  lua_setfield(L, 1, "field");
  return 0;
}
static void set_by_hand(lua_State *L, int count) {
  for (int i = 0; i < count; i++) {
    lua_pushcfunction(L, set_body);
    lua_pushvalue(L, 1);
    lua_pushinteger(L, i);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) fail("pcall");
  }
}
static void set_protected(lua_State *L, int count) {
  for (int i = 0; i < count; i++) {
    OK(rlua_pushinteger(L, i));
    OK(rlua_setfield(L, 1, "field"));
  }
}

static int string_body(lua_State *L) {
  lua_pushlstring(L, lua_touserdata(L, 1), 20);
  return 1;
}
static void string_by_hand(lua_State *L, int count) {
  static char text[] = "twenty bytes of text";
  for (int i = 0; i < count; i++) {
    lua_pushcfunction(L, string_body);
    lua_pushlightuserdata(L, text);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) fail("pcall");
    lua_settop(L, 1);
  }
}
static void string_protected(lua_State *L, int count) {
  for (int i = 0; i < count; i++) {
    OK(rlua_pushlstring(L, "twenty bytes of text", 20));
    lua_settop(L, 1);
  }
}

static int table_body(lua_State *L) {
  lua_createtable(L, 0, 0);
  return 1;
}
static void table_by_hand(lua_State *L, int count) {
  for (int i = 0; i < count; i++) {
    lua_pushcfunction(L, table_body);
    if (lua_pcall(L, 0, 1, 0) != LUA_OK) fail("pcall");
    lua_settop(L, 1);
  }
}
static void table_protected(lua_State *L, int count) {
  for (int i = 0; i < count; i++) {
    OK(rlua_createtable(L, 0, 0));
    lua_settop(L, 1);
  }
}

/* The script's function is at index 2. */
static void call_by_hand(lua_State *L, int count) {
  for (int i = 0; i < count; i++) {
    lua_getglobal(L, "add");
    lua_pushinteger(L, i);
    lua_pushinteger(L, 1);
    if (lua_pcall(L, 2, 1, 0) != LUA_OK) fail("pcall");
    lua_settop(L, 1);
  }
}
static int call_body(lua_State *L) {
  lua_getglobal(L, "add");
  lua_insert(L, 1);
  lua_call(L, 2, 1);
  return 1;
}
static void call_all_by_hand(lua_State *L, int count) {
  for (int i = 0; i < count; i++) {
    lua_pushcfunction(L, call_body);
    lua_pushinteger(L, i);
    lua_pushinteger(L, 1);
    if (lua_pcall(L, 2, 1, 0) != LUA_OK) fail("pcall");
    lua_settop(L, 1);
  }
}
static void call_protected(lua_State *L, int count) {
  for (int i = 0; i < count; i++) {
    OK(rlua_getglobal(L, "add"));
    OK(rlua_pushinteger(L, i));
    OK(rlua_pushinteger(L, 1));
    OK(rlua_call(L, 2, 1, 0));
    lua_settop(L, 1);
  }
}
static void call_only_protected(lua_State *L, int count) {
  for (int i = 0; i < count; i++) {
    lua_getglobal(L, "add");
    lua_pushinteger(L, i);
    lua_pushinteger(L, 1);
    OK(rlua_call(L, 2, 1, 0));
    lua_settop(L, 1);
  }
}

/* -- references ----------------------------------------------------------------------------- */

static int luas[64];
static rlua_Ref ours[64];

static void read_luas(lua_State *L, int count) {
  for (int i = 0; i < count; i++) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, luas[i & 63]);
    lua_settop(L, 1);
  }
}
static void read_ours(lua_State *L, int count) {
  for (int i = 0; i < count; i++) {
    OK(rlua_getref(L, ours[i & 63]));
    lua_settop(L, 1);
  }
}
static void cycle_luas(lua_State *L, int count) {
  for (int i = 0; i < count; i++) {
    lua_pushvalue(L, 1);
    int ref = luaL_ref(L, LUA_REGISTRYINDEX);
    luaL_unref(L, LUA_REGISTRYINDEX, ref);
  }
}
static void cycle_ours(lua_State *L, int count) {
  for (int i = 0; i < count; i++) {
    lua_pushvalue(L, 1);
    rlua_Ref ref = rlua_ref(L);
    if (ref == 0) fail("rlua_ref");
    OK(rlua_unref(L, ref));
  }
}

/* -- the host's way in ------------------------------------------------------------------------ */

/* The deterministic profile looks at the floating-point environment. */
static void enter(lua_State *L, int count) {
  for (int i = 0; i < count; i++) {
    lua_pushvalue(L, 1);
    lua_call(L, 0, 0);
  }
}
static void read_number(lua_State *L, int count) {
  double sum = 0;
  for (int i = 0; i < count; i++) sum += lua_tonumber(L, 2);
  if (sum < 0) fail("the number is another");
}

static int nothing(lua_State *L) {
  (void)L;
  return 0;
}

static lua_State *of_profile(int profile) {
  rlua_Config config = {.size = sizeof config, .profile = profile};
  lua_State *L;
  OK(rlua_open(&config, &L));
  lua_pushcfunction(L, nothing);
  lua_pushnumber(L, 1.5);
  return L;
}

/* -- captures ------------------------------------------------------------------------------- */

static void release(lua_State *L, void *object, void *ud) {
  (void)L, (void)object, (void)ud;
}

static const rlua_ResourceType type = {sizeof type, "Thing", release, NULL, NULL};

static lua_State *world(int resources) {
  lua_State *L = rlua_new_rollback((size_t)16 << 20, 4);
  if (L == NULL) fail("no VM");
  lua_createtable(L, RESOURCES, 0);
  luaL_newmetatable(L, "plain");
  for (int i = 1; i <= RESOURCES; i++) {
    if (resources) {
      OK(rlua_pushresource(L, &luas[0], &type));
    } else {
      lua_newuserdatauv(L, 16, 0);
      luaL_setmetatable(L, "plain");
    }
    lua_rawseti(L, 1, i);
  }
  lua_gc(L, LUA_GCCOLLECT);
  lua_gc(L, LUA_GCSTOP);
  for (int i = 0; i < 6; i++) OK(rlua_snap(L));
  return L;
}

static void capture(lua_State *L, int count) {
  for (int i = 0; i < count; i++) OK(rlua_snap(L));
}

int main(int argc, char **argv) {
  int rounds = rounds_of(argc, argv);
  lua_State *L = rlua_new_rollback((size_t)64 << 20, 4);
  if (L == NULL) fail("no VM");
  luaL_openlibs(L);
  if (luaL_dostring(L, "function add(a, b) return a + b end") != LUA_OK) fail("dostring");
  lua_createtable(L, 0, 1);
  lua_pushinteger(L, 1);
  lua_setfield(L, 1, "field");
  for (int i = 0; i < 64; i++) {
    lua_pushvalue(L, 1);
    luas[i] = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, 1);
    ours[i] = rlua_ref(L);
  }
  printf("%-34s %12s %12s %7s\n", "", "rlua", "by hand", "ratio");
  compare("protected/getfield", L, get_protected, get_by_hand, NULL, rounds, BATCH);
  compare("protected/setfield", L, set_protected, set_by_hand, NULL, rounds, BATCH);
  compare("protected/pushlstring", L, string_protected, string_by_hand, NULL, rounds, BATCH);
  compare("protected/createtable", L, table_protected, table_by_hand, NULL, rounds, BATCH);
  compare("protected/call", L, call_only_protected, call_by_hand, NULL, rounds, BATCH);
  compare("protected/getglobal+pushes+call", L, call_protected, call_all_by_hand, NULL, rounds,
          BATCH);
  compare("reference/getref", L, read_ours, read_luas, NULL, rounds, BATCH);
  compare("reference/ref+unref", L, cycle_ours, cycle_luas, NULL, rounds, BATCH);
  lua_State *deterministic = of_profile(RLUA_PROFILE_DETERMINISTIC);
  lua_State *stock = of_profile(RLUA_PROFILE_STOCK);
  compare("profile/lua_call", deterministic, enter, enter, stock, rounds, BATCH);
  compare("profile/lua_tonumber", deterministic, read_number, read_number, stock, rounds, BATCH);
  compare("capture/resources=10000,changed=0", world(1), capture, capture, world(0), rounds, 8);
  lua_close(L);
  return 0;
}
