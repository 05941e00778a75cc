/* budget.h: the counter that budgets are made of, and the calls that it counts.
 *
 * `own.fuel` falls by what scripts do, in units: one for each jump back and each call, one more for
 * each 16 instructions that these span, and for what library functions loop over (charges/, one
 * file for each part of Lua). Without a budget the virtual machine counts nothing; functions in C
 * do all the same, since a test would cost as much, from INT64_MAX on, which is filled up again.
 *
 * # Invariants
 * - B1 *sticky*: with a budget set and `fuel` below zero no instruction of a script runs but those
 *   up to the next jump back, call or return of a protected call; there rlua_used_up raises.
 * - B2 *raised where Lua may raise*: the allocator, the collector and the insides of strings and
 *   tables only lower `fuel` (rlua_debit); rlua_spend and the calls raise.
 */
#ifndef rlua_budget_h
#define rlua_budget_h

#include "calls.h"
#include "private.h"

/* Raises RLUA_ERRBUDGET. Where no budget is set it fills the counter and returns. */
static void rlua_used_up(lua_State *L);

/* Lowers the counter, by whatever number, and never raises. */
static inline void rlua_debit(lua_State *L, uint64_t units) {
  int64_t *fuel = &G(L)->own.fuel;
  if (l_likely(*fuel >= 0)) *fuel = units <= (uint64_t)*fuel ? *fuel - (int64_t)units : -1;
}

/* The same where a library may raise. */
static inline void rlua_spend(lua_State *L, uint64_t units) {
  rlua_debit(L, units);
  if (l_unlikely(G(L)->own.fuel < 0)) rlua_used_up(L);
}

/* One unit, where loops are tight. */
static inline void rlua_spend_one(lua_State *L) {
  if (l_unlikely(--G(L)->own.fuel < 0)) rlua_used_up(L);
}

/* What a call costs: a function of Lua is some instructions long. */
static inline unsigned int rlua_call_units(const TValue *function) {
  if (!ttisLclosure(function)) return 1;
  return 1 + ((unsigned int)clLvalue(function)->p->sizecode >> 4);
}

/* Raises in place of a call: the function and its arguments make room. */
__attribute__((cold, noinline)) static void rlua_refuse_call(lua_State *L, StkId func) {
  if (G(L)->own.budgeted) L->top.p = func;
  rlua_used_up(L);
}

/* A call that C makes. */
static inline void rlua_charge_call(lua_State *L, StkId func) {
  if (l_unlikely((G(L)->own.fuel -= rlua_call_units(s2v(func))) < 0)) rlua_refuse_call(L, func);
}

/* The same for __close and __gc: a function in C is called whatever is left. What it would close
 * or release is the host's. */
static inline void rlua_charge_end(lua_State *L, StkId func) {
  if (!ttislcf(s2v(func)) && !ttisCclosure(s2v(func))) rlua_charge_call(L, func);
}

#endif
