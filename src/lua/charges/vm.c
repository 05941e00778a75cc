/* vm.c: the virtual machine twice, without charges and with them (budget.h). Includes lvm.c.
 *
 * Even a counter and a test cost time, so code that runs without a budget runs in a copy of
 * lua.org's loop that has none. luaV_execute chooses. Where the host sets the first budget while
 * Lua is running, the frames on the stack are told by `trap`, as of a new hook, and go on in the
 * other loop.
 */

/* Where a loop begins within a line of the cache tells in the time of scripts that only compute
 * (docs/BENCHMARKS.md). So no change elsewhere in the unit is to move it. */
#define LOOP __attribute__((aligned(64)))
static void charged_execute(lua_State *L, CallInfo *ci) LOOP;

/* -- without charges --------------------------------------------------------------------------- */

/* `pc` is the next instruction; where a call left its results, `top` says so still. */
#define luaG_traceexec(L, next) \
  __extension__({ \
    if (G(L)->own.budgeted) { \
      ci->u.l.savedpc = next; \
      charged_execute(L, ci); \
      return; \
    } \
    luaG_traceexec(L, next); \
  })
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include "vm_plain.h"
#define luaH_finishset(L, t, key, slot, value) met_finishset(L, t, key, slot, value)
#define luaD_precall(L, func, nresults) frame_precall(L, func, nresults)
#include "lvm.c"
#undef luaD_precall
#undef l_strton
#undef forlimit
#undef forprep
#undef floatforloop
#undef l_strcmp
#undef LTintfloat
#undef LEintfloat
#undef LTfloatint
#undef LEfloatint
#undef LTnum
#undef LEnum
#undef lessthanothers
#undef lessequalothers
#undef copy2buff
#undef pushclosure
#undef luaV_equalobj
#undef luaV_lessthan
#undef luaV_lessequal
#undef luaV_tonumber_
#undef luaV_tointeger
#undef luaV_tointegerns
#undef luaV_flttointeger
#undef luaV_finishget
#undef luaV_finishset
#undef luaV_finishOp
#undef luaV_execute
#undef luaV_concat
#undef luaV_idiv
#undef luaV_mod
#undef luaV_modf
#undef luaV_shiftl
#undef luaV_objlen
#undef luaG_traceexec
#undef vmdispatch
#undef vmcase
#undef vmbreak
#pragma GCC diagnostic pop

/* -- with charges ------------------------------------------------------------------------------ */

/* lvm.c calls most of what is counted here with other words than it defines it with, so macros can
 * take the calls only, as in collector.c. A charge that raises has to leave `savedpc` and `top` as
 * luaG_runerror wants them. */

/* A jump back over so many instructions. */
static inline void charge_loop(lua_State *L, CallInfo *ci, const Instruction *pc, unsigned span) {
  if (l_unlikely((G(L)->own.fuel -= 1 + (span >> 4)) < 0)) {
    ci->u.l.savedpc = pc;
    L->top.p = ci->top.p;
    rlua_used_up(L);
  }
}

static inline int charged_jump(lua_State *L, CallInfo *ci, const Instruction *pc, int offset) {
  if (offset < 0) charge_loop(L, ci, pc, (unsigned)-offset);
  return offset;
}

/* `while`, `repeat`, `goto`. The stock macro, but for the word `stock`. */
#define stock_GETARG_sJ(i) check_exp(checkopm(i, isJ), getarg(i, POS_sJ, SIZE_sJ) - OFFSET_sJ)
#undef GETARG_sJ
#define GETARG_sJ(i) charged_jump(L, ci, pc, stock_GETARG_sJ(i))

/* Numeric `for`: the integer loop sets its counter to `count - 1` and its index to `idx`. */
#undef chgivalue
#define chgivalue(io, x) { val_(io).i = (x); (void)(chgivalue_##x); }
#define chgivalue_count charge_loop(L, ci, pc, (unsigned)GETARG_Bx(i)), 0
#define chgivalue_idx 0
#define floatforloop(first_word) floatforloop_##first_word)
#define floatforloop_StkId stock_floatforloop(StkId
#define floatforloop_ra (charge_loop(L, ci, pc, (unsigned)GETARG_Bx(i)), 1) && stock_floatforloop(ra

/* Generic `for`: the instruction behind the call jumps back. The call's own unit is in it. */
#define luaD_call(L, func, nresults) \
  (charge_loop(L, ci, pc, (unsigned)GETARG_Bx(*pc)), rlua_debit_body(L, func), \
   luaD_call(L, func, nresults))

static inline void rlua_debit_body(lua_State *L, StkId func) {
  G(L)->own.fuel -= rlua_call_units(s2v(func)) - 1;
}

/* Calls. */
static inline void charge_call(lua_State *L, StkId func) {
  if (l_unlikely((G(L)->own.fuel -= rlua_call_units(s2v(func))) < 0)) rlua_used_up(L);
}
#define luaD_precall(L, func, nresults) (charge_call(L, func), frame_precall(L, func, nresults))
#define luaD_pretailcall(L, ci, func, narg1, delta) \
  (charge_call(L, func), luaD_pretailcall(L, ci, func, narg1, delta))

/* Many values at once. */
static inline void debit_values(lua_State *L, int count) {
  if (l_unlikely(count > 16)) rlua_debit(L, (unsigned)count >> 3);
}
#define luaD_poscall(L, ci, n) (debit_values(L, n), luaD_poscall(L, ci, n))
#define luaT_getvarargs(L, ci, ra, n) \
  (debit_values(L, (n) < 0 ? (ci)->u.l.nextraargs : 0), luaT_getvarargs(L, ci, ra, n))
#define luaT_adjustvarargs(L, n, ci, proto) \
  (debit_values(L, cast_int(L->top.p - ci->func.p)), luaT_adjustvarargs(L, n, ci, proto))

/* Long strings, by their length. `other` raises when its operands are neither. */
static void debit_string(lua_State *L, const TValue *value) {
  if (L == NULL || !ttislngstring(value)) return;
  card_lock(L); /* lua_tonumberx only reads */
  rlua_debit(L, tsvalue(value)->u.lnglen >> 6);
}
static int charged_lessthanothers(lua_State *L, const TValue *l, const TValue *r);
static int charged_lessequalothers(lua_State *L, const TValue *l, const TValue *r);
#define lessthanothers(first_word, l, r) lessthanothers_##first_word, l, r)
#define lessthanothers_lua_State stock_lessthanothers(lua_State
#define lessthanothers_L charged_lessthanothers(L
#define lessequalothers(first_word, l, r) lessequalothers_##first_word, l, r)
#define lessequalothers_lua_State stock_lessequalothers(lua_State
#define lessequalothers_L charged_lessequalothers(L

static inline int charged_rawequal(lua_State *L, const TValue *l, const TValue *r) {
  if (l_unlikely(ttislngstring(r))) debit_string(L, l);
  return luaV_rawequalobj(l, r);
}
#define luaS_eqlngstr(a, b) (debit_string(L, t1), luaS_eqlngstr(a, b))
#undef luaV_rawequalobj
#define luaV_rawequalobj(l, r) charged_rawequal(L, l, r)

/* Numerals as limits of a loop. */
#define forlimit(first_word, ...) forlimit_##first_word, __VA_ARGS__)
#define forlimit_lua_State stock_forlimit(lua_State
#define forlimit_L (debit_string(L, plimit), 0) || stock_forlimit(L

/* Keys that are long strings; chains of __index and __newindex; new keys (charges/tables.c). */
#define luaH_get(t, key) charged_get(L, t, key)
#undef fasttm
#define fasttm(L, et, e) ((et) == NULL ? NULL : (rlua_debit(L, 1), gfasttm(G(L), et, e)))
#undef luaH_finishset
#define luaH_finishset(L, t, key, slot, value) charged_finishset(L, t, key, slot, value)

#define luaV_execute charged_execute
#include "lvm.c"
#undef luaV_execute

#undef GETARG_sJ
#define GETARG_sJ stock_GETARG_sJ
#undef floatforloop
#undef luaD_call
#undef luaD_precall
#undef luaD_pretailcall
#undef luaD_poscall
#undef luaT_getvarargs
#undef luaT_adjustvarargs
#undef lessthanothers
#undef lessequalothers
#undef luaS_eqlngstr
#undef forlimit

static int charged_lessthanothers(lua_State *L, const TValue *l, const TValue *r) {
  debit_string(L, l);
  return stock_lessthanothers(L, l, r);
}

static int charged_lessequalothers(lua_State *L, const TValue *l, const TValue *r) {
  debit_string(L, l);
  return stock_lessequalothers(L, l, r);
}

void luaV_execute(lua_State *L, CallInfo *ci) {
  if (l_unlikely(G(L)->own.budgeted)) charged_execute(L, ci);
  else plain_luaV_execute(L, ci);
}
