/* boundary.h: numbers between the VM and C, while lapi.c is compiled.
 *
 * A NaN that leaves or comes in is the one NaN (nan.h). What computes without an entry into Lua,
 * which would see to the floating-point environment, does that itself (fpenv.h).
 */
#ifndef rlua_boundary_h
#define rlua_boundary_h

#include "fpenv.h"
#include "nan.h"

static inline void rlua_fp_begin(lua_State *L) {
  if (rlua_depth(L) == 0) rlua_fp_enter(L);
}
static inline void rlua_fp_end(lua_State *L) {
  if (rlua_depth(L) == 0) rlua_fp_leave(L);
}

static inline int rlua_api_number(lua_State *L, const TValue *o, lua_Number *n) {
  if (ttisfloat(o)) {
    *n = rlua_canonical(L, fltvalue(o));
    return 1;
  }
  rlua_fp_begin(L);
  int is_number = luaV_tonumber_(o, n);
  rlua_fp_end(L);
  return is_number;
}

static inline int rlua_api_integer(lua_State *L, const TValue *o, lua_Integer *n) {
  rlua_fp_begin(L);
  int is_integer = luaV_tointeger(o, n, LUA_FLOORN2I);
  rlua_fp_end(L);
  return is_integer;
}

static inline size_t rlua_api_numeral(lua_State *L, const char *text, TValue *o) {
  rlua_fp_begin(L);
  size_t size = luaO_str2num(text, o);
  rlua_fp_end(L);
  return size;
}

static inline void rlua_api_tostring(lua_State *L, TValue *number) {
  rlua_fp_begin(L);
  rlua_tostring(L, number);
  rlua_fp_end(L);
}

static inline void rlua_api_concat(lua_State *L, int count) {
  rlua_fp_begin(L);
  luaV_concat(L, count);
  rlua_fp_end(L);
}

static inline void rlua_api_arith(lua_State *L, int op, const TValue *a, const TValue *b,
                                  StkId result) {
  rlua_fp_begin(L);
  luaO_arith(L, op, a, b, result);
  rlua_fp_end(L);
}

/* `caller` is NULL where no metamethod is to be called. */
static inline int rlua_api_compare(lua_State *L, lua_State *caller, const TValue *a,
                                   const TValue *b,
                                   int (*compare)(lua_State *, const TValue *, const TValue *)) {
  rlua_fp_begin(L);
  int answer = compare(caller, a, b);
  rlua_fp_end(L);
  return answer;
}

/* unit.c takes these back behind lapi.c. */
#undef tonumber
#define tonumber(o, n) rlua_api_number(L, (o), (n))
#undef tointeger
#define tointeger(o, n) \
  (l_likely(ttisinteger(o)) ? (*(n) = ivalue(o), 1) : rlua_api_integer(L, (o), (n)))
#undef luaO_str2num
#define luaO_str2num(text, o) rlua_api_numeral(L, (text), (o))
#undef luaO_tostring
#define luaO_tostring(L, number) rlua_api_tostring(L, (number))
#define luaV_concat(L, count) rlua_api_concat(L, (count))
#define luaO_arith(L, op, a, b, result) rlua_api_arith(L, (op), (a), (b), (result))
#define luaV_equalobj(caller, a, b) rlua_api_compare(L, (caller), (a), (b), luaV_equalobj)
#define luaV_lessthan(caller, a, b) rlua_api_compare(L, (caller), (a), (b), luaV_lessthan)
#define luaV_lessequal(caller, a, b) rlua_api_compare(L, (caller), (a), (b), luaV_lessequal)
#undef setfltvalue
#define setfltvalue(o, n) \
  do { \
    TValue *rlua_place = (o); \
    val_(rlua_place).n = rlua_canonical(L, (n)); \
    settt_(rlua_place, LUA_VNUMFLT); \
  } while (0)

#endif
