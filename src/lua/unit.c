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

#include "overrides/platform.h"

#include <math.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "overrides/linkage.h"
#include "overrides/cards.h"
#include "overrides/determinism.h"
#include "overrides/private.h"
#include "overrides/entries.h"
#include "overrides/userdata.h"
#include "overrides/names.h"
#include "overrides/clock.h"
#include "overrides/math.h"
#include "overrides/text.h"
#include "overrides/nan.h"
#include "overrides/budget.h"
#include "overrides/kinds.h"

/* Stock functions that Rust replaces (ffi/life.rs): they keep their code under another, internal,
 * name. */
#include "lauxlib.h"
#include "lualib.h"
#define lua_close stock_lua_close
#define luaL_newstate stock_luaL_newstate
static void stock_lua_close(lua_State *L);
static lua_State *stock_luaL_newstate(void) __attribute__((unused));

#include "mathfn.c"
#include "lzio.c"

/* What a reader hands over is charged before it is compiled (budget.h). */
static int rlua_fill(ZIO *z) {
  int first = luaZ_fill(z);
  if (first != EOZ) rlua_spend(z->L, 1 + z->n);
  return first;
}
#define luaZ_fill(z) rlua_fill(z)

#include "lctype.c"
#include "lopcodes.c"

/* When an error finds no handler in any thread, no entry survives it: the panic function aborts
 * or jumps out of all of them. */
static int rlua_reset_unwound(lua_State *L, int status);
#define luaE_resetthread(L, status) rlua_reset_unwound(L, status)
#include "ldo.c"
#undef luaE_resetthread

static int rlua_reset_unwound(lua_State *L, int status) {
  if (G(L)->mainthread->errorJmp == NULL) rlua_leave(L, 0);
  return luaE_resetthread(L, status);
}

/* Calls that C makes into Lua are entries too, protected or not: an unprotected lua_call on a
 * second thread passes no LUAI_TRY. They are charged (budget.h). ldo.c defines these functions, so
 * it came first. */
static void rlua_enter_call(lua_State *L, StkId func, int nresults) {
  rlua_charge_call(L, func);
  unsigned int outer = rlua_enter(L);
  luaD_callnoyield(L, func, nresults);
  rlua_leave(L, outer);
}
static void rlua_enter_end(lua_State *L, StkId func, int nresults) {
  rlua_charge_end(L, func);
  unsigned int outer = rlua_enter(L);
  luaD_callnoyield(L, func, nresults);
  rlua_leave(L, outer);
}
static void rlua_end_yieldable(lua_State *L, StkId func, int nresults) {
  rlua_charge_end(L, func);
  luaD_call(L, func, nresults);
}
static void rlua_call_yieldable(lua_State *L, StkId func, int nresults) {
  rlua_charge_call(L, func);
  luaD_call(L, func, nresults);
}

/* Metamethods. */
#define luaD_call(L, func, nresults) rlua_call_yieldable(L, func, nresults)

/* An emergency collection is charged: a script can have one with each request. */
#define luaC_fullgc(L, emergency) \
  (rlua_debit(L, gettotalbytes(G(L)) >> 4), luaC_fullgc(L, emergency))
#include "lmem.c"
#undef luaC_fullgc
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
#include "cards.c"
static lua_Alloc rlua_host_alloc(lua_Alloc alloc); /* life.c; lapi.c calls it */

/* A finalizer's error is a warning in the middle of a collection, outside a protected run. */
static void rlua_enter_warnerror(lua_State *L, const char *where) {
  unsigned int outer = rlua_enter(L);
  luaE_warnerror(L, where);
  rlua_leave(L, outer);
}
#define luaE_warnerror(L, where) rlua_enter_warnerror(L, where)

/* Finalizers. */
#define luaD_callnoyield(L, func, nresults) rlua_enter_end(L, func, nresults)
#include "collector.c"
#undef luaE_warnerror
#undef luaD_callnoyield

#define luaD_callnoyield(L, func, nresults) rlua_enter_call(L, func, nresults)
#include "charges/parser.c"

/* A call leaves in `oldpc` what an older frame had in its place (`trap` of CallInfo, which Lua does
 * not initialise). Nothing reads it before there is a hook, so it begins with it (canon.c). */
#define settraps(first_word) settraps_##first_word)
#define settraps_CallInfo settraps(CallInfo
#define settraps_L (L->oldpc = 0, settraps)(L
#include "ldebug.c"
#undef settraps
#undef luaD_callnoyield

/* A level is walked to. */
static int rlua_getstack(lua_State *L, int level, lua_Debug *ar) {
  ptrdiff_t most = L->top.p - L->stack.p; /* a frame takes a slot or more */
  if (level > 16) rlua_debit(L, (level < most ? (size_t)level : (size_t)most) >> 3);
  return lua_getstack(L, level, ar);
}
#define lua_getstack(L, level, ar) rlua_getstack(L, level, ar)

/* __close. */
#undef luaD_call
#define luaD_call(L, func, nresults) rlua_end_yieldable(L, func, nresults)
#define luaD_callnoyield(L, func, nresults) rlua_enter_end(L, func, nresults)
#include "lfunc.c"
#undef luaD_call
#undef luaD_callnoyield

#define luaD_call(L, func, nresults) rlua_call_yieldable(L, func, nresults)
#define luaD_callnoyield(L, func, nresults) rlua_enter_call(L, func, nresults)
#include "numbers.c"
#include "format.c"
#include "numerals.c"

/* lua_pushfstring's "%f". */
#undef cast_num
#define cast_num(n) rlua_canonical(L, cast(lua_Number, (n)))
#include "lobject.c"
#undef cast_num
#define cast_num(n) cast(lua_Number, (n))

static void rlua_tostring(lua_State *L, TValue *number) {
  if (ttisfloat(number)) {
    card_value(L, number); /* an upvalue of a C function, where the next line raises */
    setfltvalue(number, rlua_canonical(L, fltvalue(number)));
  }
  luaO_tostring(L, number);
}
#define luaO_tostring(L, number) rlua_tostring(L, number)

#include "ltm.c"
#undef luaD_call

/* Strings are charged by their length where they are made, the walk through the string table where
 * it compares. */
#define createstrobj(first_word, ...) createstrobj_##first_word, __VA_ARGS__)
#define createstrobj_lua_State createstrobj(lua_State
#define createstrobj_L (l > 32 ? rlua_debit(L, l >> 5) : (void)0, createstrobj)(L
#define memcmp(first_word, ...) memcmp_##first_word, __VA_ARGS__)
#define memcmp_str (G(L)->own.fuel--, memcmp)(str
#define memcmp_getlngstr memcmp(getlngstr
#include "lstring.c"
#undef createstrobj
#undef memcmp

static int luaH_next(lua_State *L, Table *t, StkId key) __attribute__((unused)); /* next.c */
/* Inlined into luaH_get, it would make that save registers for strings too. */
static const TValue *getgeneric(Table *t, const TValue *key, int deadok) __attribute__((noinline));
/* Fields and methods are looked up by it, in the loops of lvm.c too. */
static inline const TValue *luaH_getshortstr(Table *t, TString *key)
    __attribute__((always_inline));
#include "overrides/keys.h"
#include "keys.c"
#include "charges/tables.c"
#undef point2uint
#undef maskflags
#define maskflags NO_METAMETHODS
#include "next.c"
#define luaH_next(L, t, key) next_pair((L), (t), (key))
#include "frames.c"
#include "charges/vm.c"

/* lua_callk and lua_pcallk with a continuation, the writer of lua_dump and the warn function run
 * foreign code outside a protected run. */
static void rlua_enter_yieldable(lua_State *L, StkId func, int nresults) {
  rlua_charge_call(L, func);
  unsigned int outer = rlua_enter(L);
  luaD_call(L, func, nresults);
  rlua_leave(L, outer);
}
static int rlua_enter_dump(lua_State *L, const Proto *f, lua_Writer w, void *ud, int strip) {
  unsigned int outer = rlua_enter(L);
  int status = luaU_dump(L, f, w, ud, strip);
  rlua_leave(L, outer);
  return status;
}
static void rlua_enter_warning(lua_State *L, const char *message, int tocont) {
  unsigned int outer = rlua_enter(L);
  luaE_warning(L, message, tocont);
  rlua_leave(L, outer);
}
#define luaD_call(L, func, nresults) rlua_enter_yieldable(L, func, nresults)
#define luaU_dump(L, f, w, ud, strip) rlua_enter_dump(L, f, w, ud, strip)
#define luaE_warning(L, message, tocont) rlua_enter_warning(L, message, tocont)

/* A userdata whose metatable has a finalizer in C is guarded from there on. */
static void rlua_check_finalizer(lua_State *L, GCObject *o, Table *mt); /* guarded.c */
#define luaC_checkfinalizer(L, o, mt) rlua_check_finalizer(L, o, mt)

/* Keys and numerals that are long strings. */
#define luaH_set(L, t, key, value) charged_set(L, t, key, value)
#define luaH_setint(L, t, key, value) charged_setint(L, t, key, value)
#define luaV_tonumber_(o, n) (debit_string(L, o), luaV_tonumber_(o, n))
#define luaV_tointeger(o, n, mode) (debit_string(L, o), luaV_tointeger(o, n, mode))
#define luaO_str2num(s, o) (rlua_debit(L, strlen(s) >> 4), luaO_str2num(s, o))
#include "overrides/boundary.h"
#include "lapi.c"
#undef luaH_finishset
#undef luaH_set
#undef luaH_next
#undef luaO_tostring
#undef luaV_concat
#undef luaO_str2num
#undef luaO_arith
#undef luaV_equalobj
#undef luaV_lessthan
#undef luaV_lessequal
#undef tonumber
#undef tointeger
#undef setfltvalue
#undef luaH_get
#undef luaH_setint
#undef luaV_tonumber_
#undef luaV_tointeger
#undef luaC_checkfinalizer

static void *rlua_new_native(lua_State *L, size_t size, uint32_t native) {
  void *memory = lua_newuserdatauv(L, size, 0);
  memcpy((char *)uvalue(s2v(L->top.p - 1)) + NATIVE_OFFSET, &native, sizeof native);
  return memory;
}

#undef luaD_call
#undef luaU_dump
#undef luaE_warning

/* C modules keep the numbers of luaL_ref where no rollback reaches. */
#define luaL_ref stock_luaL_ref
#define luaL_unref stock_luaL_unref
static int stock_luaL_ref(lua_State *L, int t) __attribute__((unused));
static void stock_luaL_unref(lua_State *L, int t, int ref) __attribute__((unused));
#define strerror(number) rlua_strerror(L, (number))

/* A buffer is charged when it grows. */
static size_t rlua_grow(luaL_Buffer *B, size_t size);
#define newbuffsize(first_word, size) newbuffsize_##first_word, size)
#define newbuffsize_luaL_Buffer newbuffsize(luaL_Buffer
#define newbuffsize_B rlua_grow(B
#define lua_newuserdatauv(L, size, n) rlua_new_native((L), (size), NATIVE_BOX)
#include "lauxlib.c"
#undef lua_newuserdatauv
#undef newbuffsize
#undef luaL_ref
#undef luaL_unref
static size_t rlua_grow(luaL_Buffer *B, size_t size) {
  size_t grown = newbuffsize(B, size);
  rlua_spend(B->L, grown >> 6);
  return grown;
}
#include "auxrefs.c"

#include "charges/base.c"
#include "charges/tablib.c"
#include "upvalues.c" /* with ldblib.c */

/* A file's text names its handle (`p`), which lies in the VM, not its FILE. */
#define lua_pushfstring(L, format, file) \
  lua_pushfstring((L), (format), rlua_deterministic(L) ? (void *)p : (void *)(file))
#include "overrides/files.h"
#define fprintf(file, format, n) rlua_write_number((file), (n))
#include "liolib.c"
#undef lua_pushfstring
#undef strerror
#undef fprintf
#undef lua_newuserdatauv
#undef fopen
#undef tmpfile
#undef fclose
#undef l_popen
#undef l_pclose

#include "clock.c"
#define time(t) rlua_seeding_time(t)
#include "lmathlib.c"
#undef time

#include "overrides/packages.h"
#include "loadlib.c"
#undef fopen
#ifdef RLUA_SEPARATOR_VARIES
#undef luaL_gsub
#undef lua_pushliteral
#define lua_pushliteral(L, text) lua_pushstring(L, "" text)
#undef luaL_optstring
#define luaL_optstring(L, arg, text) luaL_optlstring(L, (arg), (text), NULL)
#endif

/* os.exit(code, true) closes the state from inside Lua and then leaves the process. */
static void rlua_close_at_exit(lua_State *L);
#undef lua_close
#define lua_close(L) rlua_close_at_exit(L)
#undef CLOCKS_PER_SEC
#define CLOCKS_PER_SEC CLOCK_UNITS
#define clock() rlua_clock(L)
#define time(t) rlua_time(L)
#define l_gmtime(t, tm) rlua_gmtime(L, (t), (tm))
#define l_localtime(t, tm) rlua_localtime(L, (t), (tm))
#define mktime(tm) rlua_mktime(L, (tm))
#define strftime(text, room, format, tm) rlua_strftime(L, (text), (room), (format), (tm))
#define difftime(later, earlier) rlua_difftime((later), (earlier))
#define setlocale(category, name) rlua_setlocale(L, (category), (name))
#include "loslib.c"
#undef setlocale
#undef lua_close
#undef clock
#undef time
#undef mktime
#undef strftime
#undef difftime
#undef getenv

#define lua_topointer(L, arg) rlua_format_topointer(L, arg)
#include "charges/text.c"
#undef lua_topointer
#include "linit.c"

#undef luaL_newstate
#include "protect.h"
#include "life.c"
#include "budget.c"
#include "calls.c"
#include "libraries.c"
#include "values.c"
#include "functions.c"
#include "objects.c"
#include "stack.c"
#include "memory.c"
#include "references.c"
#include "resources.c"
#include "files.c"
#include "guarded.c"
#include "names.c"
#include "recover.c"
#include "walk.c"
#include "check.c"
#include "canon.c"
#include "canon_objects.c"
#include "canon_threads.c"
#include "diff_pairs.c"
#include "diff_text.c"
#include "diff_tables.c"
#include "diff_calls.c"
#include "diff.c"
#include "path.c"
#include "load_words.c"
#include "load.c"
#include "load_objects.c"
#include "load_marks.c"
#include "load_nodes.c"
#include "load_proof.c"
