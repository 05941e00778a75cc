/* base.c: what the libraries base and coroutine charge (budget.h), and where a script would
 * go on after the budget's error. Includes lbaselib.c and lcorolib.c.
 *
 * pcall, xpcall, load, coroutine.resume, wrap and close give errors back to the script. That of a
 * used-up budget they raise again (B1). lua_pcall and lua_resume return it, as a host expects.
 */

static void raise_again(lua_State *L, int status) {
  if (l_unlikely(status > LUA_YIELD && G(L)->own.fuel < 0 && G(L)->own.budgeted)) {
    if (status == RLUA_ERRBUDGET) luaD_throw(L, status);
    rlua_used_up(L);
  }
}

/* pcall and xpcall end here, directly or after a yield (as a continuation, without parentheses). */
static int finishpcall(lua_State *L, int status, lua_KContext extra);
static int charged_load(lua_State *L, int status, int envidx);
static void charge_gc(lua_State *L, int what, ...);
static int luaB_tonumber(lua_State *L);
#define finishpcall(first_word, ...) finishpcall_##first_word, __VA_ARGS__)
#define finishpcall_lua_State stock_finishpcall(lua_State
#define finishpcall_L (finishpcall)(L
#define load_aux(first_word, ...) load_aux_##first_word, __VA_ARGS__)
#define load_aux_lua_State load_aux(lua_State
#define load_aux_L charged_load(L
#define luaB_tonumber(L) stock_luaB_tonumber(L)
#define lua_gc(L, ...) (charge_gc(L, __VA_ARGS__), lua_gc(L, __VA_ARGS__))
#undef lua_writestring
#define lua_writestring(s, l) (rlua_spend(L, (l) >> 4), fwrite((s), sizeof(char), (l), stdout))
#include "lbaselib.c"
#undef finishpcall
#undef load_aux
#undef luaB_tonumber
#undef lua_gc
#undef lua_writestring
#define lua_writestring(s, l) fwrite((s), sizeof(char), (l), stdout)

static int finishpcall(lua_State *L, int status, lua_KContext extra) {
  raise_again(L, status);
  return stock_finishpcall(L, status, extra);
}

static int charged_load(lua_State *L, int status, int envidx) {
  raise_again(L, status);
  return load_aux(L, status, envidx);
}

static int luaB_tonumber(lua_State *L) {
  if (lua_type(L, 1) == LUA_TSTRING) rlua_spend(L, (size_t)lua_rawlen(L, 1) >> 3);
  return stock_luaB_tonumber(L);
}

/* A collection walks all there is, a step as much as it is told to. */
static void charge_gc(lua_State *L, int what, ...) {
  lu_mem all = gettotalbytes(G(L)) >> 4;
  if (what == LUA_GCCOLLECT || what == LUA_GCGEN || what == LUA_GCINC) {
    rlua_spend(L, all);
  } else if (what == LUA_GCSTEP) {
    va_list args;
    va_start(args, what);
    int kib = va_arg(args, int);
    va_end(args);
    lu_mem some = 256 + 512 * (lu_mem)(unsigned int)kib;
    rlua_spend(L, some < all ? some : all);
  }
}

/* A coroutine takes about a kilobyte. */
static int charged_resume(lua_State *L, lua_State *from, int nargs, int *nresults);
static int charged_closethread(lua_State *L, lua_State *from);
#define lua_newthread(L) (rlua_spend(L, 16), lua_newthread(L))
#define lua_resume(L, from, nargs, nresults) charged_resume(L, from, nargs, nresults)
#define lua_closethread(L, from) charged_closethread(L, from)
#include "lcorolib.c"
#undef lua_newthread
#undef lua_resume
#undef lua_closethread

static void raise_in_resumer(lua_State *L, lua_State *from, int status) {
  if (l_likely(status <= LUA_YIELD || G(L)->own.fuel >= 0)) return;
  lua_xmove(L, from, 1);
  raise_again(from, status);
}

static int charged_resume(lua_State *L, lua_State *from, int nargs, int *nresults) {
  rlua_spend(from, 4);
  int status = lua_resume(L, from, nargs, nresults);
  raise_in_resumer(L, from, status);
  return status;
}

static int charged_closethread(lua_State *L, lua_State *from) {
  int status = lua_closethread(L, from);
  raise_in_resumer(L, from, status);
  return status;
}
