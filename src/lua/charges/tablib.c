/* tablib.c: what the library `table` charges (budget.h), and the API functions that its loops
 * consist of, inline. Includes ltablib.c.
 *
 * Behind lapi.c. Each function does what lapi.c's does where that needs nothing but a look, and
 * calls it for everything else: metamethods, new elements, pseudo-indices.
 */

/* As index2value, for an index that the compiler knows: of its cases one is left. */
l_sinline TValue *table_value(lua_State *L, int index) {
  if (index > 0) {
    StkId value = L->ci->func.p + index;
    api_check(L, index <= L->ci->top.p - (L->ci->func.p + 1), "unacceptable index");
    return value < L->top.p ? s2v(value) : &G(L)->nilvalue;
  }
  if (ispseudo(index)) return index2value(L, index);
  api_check(L, index != 0 && -index <= L->top.p - (L->ci->func.p + 1), "invalid index");
  return s2v(L->top.p + index);
}

/* Whatever a function of `table` does, it reads each element by this, which charges. */
l_sinline int table_geti(lua_State *L, int index, lua_Integer n) {
  rlua_spend_one(L);
  const TValue *table = table_value(L, index), *slot;
  if (l_unlikely(!luaV_fastgeti(L, table, n, slot))) return lua_geti(L, index, n);
  setobj2s(L, L->top.p, slot);
  api_incr_top(L);
  return ttype(s2v(L->top.p - 1));
}

l_sinline void table_seti(lua_State *L, int index, lua_Integer n) {
  TValue *table = table_value(L, index);
  const TValue *slot;
  api_checknelems(L, 1);
  if (l_unlikely(!luaV_fastgeti(L, table, n, slot))) {
    lua_seti(L, index, n);
    return;
  }
  luaV_finishfastset(L, table, slot, s2v(L->top.p - 1));
  L->top.p--;
}

l_sinline void table_pushvalue(lua_State *L, int index) {
  setobj2s(L, L->top.p, table_value(L, index));
  api_incr_top(L);
}

#define lua_geti(L, index, n) table_geti(L, index, n)
#define lua_seti(L, index, n) table_seti(L, index, n)
#define lua_pushvalue(L, index) table_pushvalue(L, index)
#include "ltablib.c"
#undef lua_geti
#undef lua_seti
#undef lua_pushvalue
