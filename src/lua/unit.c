/* unit.c: the whole of Lua 5.4 and our C, as one translation unit.
 *
 * Lua's headers have include guards: once a header was read, its macros can be replaced before the
 * .c files that use them (overrides/, one header a concern). So no Lua source is patched or copied;
 * vendor/README.md lists what differs from lua.org's Lua. The order is that of dependence: a static
 * definition comes before its use. Overrides that must see a function's prototype, and must not
 * touch its definition, stand between the files.
 */
#define LUA_CORE
#define LUA_LIB
#define _XOPEN_SOURCE 700 /* lprefix.h: 600; files.c needs O_CLOEXEC */
#include "lprefix.h"

#include <math.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "overrides/linkage.h"
#include "overrides/determinism.h"
#include "overrides/private.h"
#include "overrides/entries.h"
#include "overrides/userdata.h"
#include "overrides/speed.h"

/* Stock functions that Rust replaces (ffi/life.rs): they keep their code under another, internal,
 * name. */
#include "lauxlib.h"
#include "lualib.h"
#define lua_close stock_lua_close
#define luaL_newstate stock_luaL_newstate
static void stock_lua_close(lua_State *L);
static lua_State *stock_luaL_newstate(void) __attribute__((unused));

#include "lzio.c"
#include "lctype.c"
#include "lopcodes.c"

/* When an error finds no handler in any thread, no entry survives it: the panic function aborts
 * or jumps out of all of them. */
static int rlua_reset_unwound(lua_State *L, int status);
#define luaE_resetthread(L, status) rlua_reset_unwound(L, status)
#include "ldo.c"
#undef luaE_resetthread

static int rlua_reset_unwound(lua_State *L, int status) {
  if (G(L)->mainthread->errorJmp == NULL) rlua_depth(L) = 0;
  return luaE_resetthread(L, status);
}

/* Calls that C makes into Lua are entries too, protected or not: an unprotected lua_call on a
 * second thread passes no LUAI_TRY. ldo.c defines these functions, so it came first. */
static void rlua_enter_call(lua_State *L, StkId func, int nresults) {
  unsigned int outer = rlua_depth(L)++;
  luaD_callnoyield(L, func, nresults);
  rlua_depth(L) = outer;
}
#define luaD_callnoyield(L, func, nresults) rlua_enter_call(L, func, nresults)

#include "lmem.c"
#include "blocks.c"

/* The arena does not clear the place of a string, which is filled at once (Z1). Only here something
 * can go wrong between the two: the reader raises, or the chunk ends early. */
static TString *rlua_clear_string(lua_State *L, size_t length) {
  TString *string = luaS_createlngstrobj(L, length);
  memset(getstr(string), 0, length);
  return string;
}
#define luaS_createlngstrobj(L, length) rlua_clear_string(L, length)
#include "lundump.c"
#undef luaS_createlngstrobj
#include "ldump.c"
#include "lstate.c"

/* A finalizer's error is a warning in the middle of a collection, outside a protected run. */
static void rlua_enter_warnerror(lua_State *L, const char *where) {
  unsigned int outer = rlua_depth(L)++;
  luaE_warnerror(L, where);
  rlua_depth(L) = outer;
}
#define luaE_warnerror(L, where) rlua_enter_warnerror(L, where)

#include "collector.c"
#undef luaE_warnerror

#include "llex.c"
#include "lcode.c"
#include "lparser.c"
#include "ldebug.c"
#include "lfunc.c"
#include "numbers.c"
#include "lobject.c"
#include "ltm.c"
#include "lstring.c"
#include "ltable.c"
#include "frames.c" /* with lvm.c */

/* lua_callk and lua_pcallk with a continuation, the writer of lua_dump and the warn function run
 * foreign code outside a protected run. */
static void rlua_enter_yieldable(lua_State *L, StkId func, int nresults) {
  unsigned int outer = rlua_depth(L)++;
  luaD_call(L, func, nresults);
  rlua_depth(L) = outer;
}
static int rlua_enter_dump(lua_State *L, const Proto *f, lua_Writer w, void *ud, int strip) {
  unsigned int outer = rlua_depth(L)++;
  int status = luaU_dump(L, f, w, ud, strip);
  rlua_depth(L) = outer;
  return status;
}
static void rlua_enter_warning(lua_State *L, const char *message, int tocont) {
  unsigned int outer = rlua_depth(L)++;
  luaE_warning(L, message, tocont);
  rlua_depth(L) = outer;
}
#define luaD_call(L, func, nresults) rlua_enter_yieldable(L, func, nresults)
#define luaU_dump(L, f, w, ud, strip) rlua_enter_dump(L, f, w, ud, strip)
#define luaE_warning(L, message, tocont) rlua_enter_warning(L, message, tocont)

/* A userdata whose metatable has a finalizer in C is guarded from there on. */
static void rlua_check_finalizer(lua_State *L, GCObject *o, Table *mt); /* guarded.c */
#define luaC_checkfinalizer(L, o, mt) rlua_check_finalizer(L, o, mt)
#include "lapi.c"
#undef luaC_checkfinalizer
#undef luaD_call
#undef luaU_dump
#undef luaE_warning

#include "lauxlib.c"
#include "lbaselib.c"
#include "lcorolib.c"
#include "upvalues.c" /* with ldblib.c */

#include "overrides/files.h"
#include "liolib.c"
#undef lua_newuserdatauv
#undef fopen
#undef tmpfile
#undef fclose
#undef l_popen
#undef l_pclose

#include "lmathlib.c"
#include "loadlib.c"

/* os.exit(code, true) closes the state from inside Lua and then leaves the process. */
static void rlua_close_at_exit(lua_State *L);
#undef lua_close
#define lua_close(L) rlua_close_at_exit(L)
#include "loslib.c"
#undef lua_close

#include "lstrlib.c"
#include "tables.c" /* with ltablib.c */
#include "lutf8lib.c"
#include "linit.c"

#undef luaL_newstate
#include "protect.h"
#include "life.c"
#include "calls.c"
#include "values.c"
#include "functions.c"
#include "objects.c"
#include "stack.c"
#include "memory.c"
#include "references.c"
#include "resources.c"
#include "files.c"
#include "guarded.c"
#include "recover.c"
#include "walk.c"
#include "check.c"
