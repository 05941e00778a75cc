/* objects.c: protected calls that make objects, combine values, and work below metamethods.
 *
 * The same shape as shim.c, behind which it is included: an rlua_c_X runs lua_X (or luaL_X)
 * protected, answers Lua's status, and refuses what Lua leaves undefined before anything happens.
 * The public functions are in ffi/objects.rs.
 */

/* -- making ------------------------------------------------------------------------------- */

#define MAX_USER_VALUES 32767 /* lua_newuserdatauv asserts less than SHRT_MAX */

BODY(newuserdata_body) {
  ARGS->block = lua_newuserdatauv(L, ARGS->length, ARGS->count);
}
RLUA_INTERNAL int rlua_c_newuserdata(lua_State *L, size_t size, int nuvalue, void **block) {
  Args args = {.length = size, .count = nuvalue};
  if (nuvalue < 0 || nuvalue >= MAX_USER_VALUES) return REFUSED_ARGUMENT;
  int status = protect(L, newuserdata_body, &args, 0);
  *block = status == LUA_OK ? args.block : NULL;
  return status;
}

BODY(newthread_body) {
  ARGS->block = lua_newthread(L);
}
RLUA_INTERNAL int rlua_c_newthread(lua_State *L, lua_State **thread) {
  Args args = {0};
  int status = protect(L, newthread_body, &args, 0);
  *thread = status == LUA_OK ? args.block : NULL;
  return status;
}

BODY(pushcclosure_body) {
  lua_pushcclosure(L, ARGS->function, ARGS->count);
}
RLUA_INTERNAL int rlua_c_pushcclosure(lua_State *L, lua_CFunction function, int upvalues) {
  Args args = {.function = function, .count = upvalues};
  if (upvalues < 0 || upvalues > MAXUPVAL) return REFUSED_ARGUMENT;
  return protect(L, pushcclosure_body, &args, upvalues);
}

BODY(loadfilex_body) {
  ARGS->status = luaL_loadfilex(L, ARGS->name, ARGS->mode);
}
RLUA_INTERNAL int rlua_c_loadfilex(lua_State *L, const char *name, const char *mode) {
  Args args = {.name = name, .mode = mode};
  return protect_load(L, loadfilex_body, &args);
}

BODY(requiref_body) {
  luaL_requiref(L, ARGS->name, ARGS->function, ARGS->flag);
}
RLUA_INTERNAL int rlua_c_requiref(lua_State *L, const char *name, lua_CFunction open, int global) {
  Args args = {.name = name, .function = open, .flag = global};
  return protect(L, requiref_body, &args, 0);
}

/* -- combining ---------------------------------------------------------------------------- */

BODY(len_body) {
  lua_len(L, ARGS->index);
}
RLUA_INTERNAL int rlua_c_len(lua_State *L, int index) {
  Args args = {.index = index};
  return is_index(L, index) ? protect(L, len_body, &args, 0) : REFUSED_ARGUMENT;
}

BODY(concat_body) {
  lua_concat(L, ARGS->count);
}
RLUA_INTERNAL int rlua_c_concat(lua_State *L, int count) {
  Args args = {.count = count};
  return count < 0 ? REFUSED_ARGUMENT : protect(L, concat_body, &args, count);
}

BODY(compare_body) {
  ARGS->flag = lua_compare(L, ARGS->index, ARGS->count, ARGS->results);
}
RLUA_INTERNAL int rlua_c_compare(lua_State *L, int first, int second, int op, int *result) {
  Args args = {.index = first, .count = second, .results = op};
  *result = 0;
  if (op < LUA_OPEQ || op > LUA_OPLE) return REFUSED_ARGUMENT;
  if (!is_index(L, first) || !is_index(L, second)) return REFUSED_ARGUMENT;
  int status = protect(L, compare_body, &args, 0);
  *result = status == LUA_OK && args.flag;
  return status;
}

BODY(arith_body) {
  lua_arith(L, ARGS->flag);
}
RLUA_INTERNAL int rlua_c_arith(lua_State *L, int op) {
  Args args = {.flag = op};
  if (op < LUA_OPADD || op > LUA_OPBNOT) return REFUSED_ARGUMENT;
  return protect(L, arith_body, &args, op == LUA_OPUNM || op == LUA_OPBNOT ? 1 : 2);
}

BODY(pushtostring_body) {
  luaL_tolstring(L, ARGS->index, NULL);
}
RLUA_INTERNAL int rlua_c_pushtostring(lua_State *L, int index) {
  Args args = {.index = index};
  if (!is_index(L, index) || lua_isnone(L, index)) return REFUSED_ARGUMENT;
  return protect(L, pushtostring_body, &args, 0);
}

BODY(traceback_body) {
  luaL_traceback(L, ARGS->block, ARGS->text, ARGS->count);
}
RLUA_INTERNAL int rlua_c_traceback(lua_State *L, lua_State *of, const char *text, int level) {
  Args args = {.block = of, .text = text, .count = level};
  return level < 0 ? REFUSED_ARGUMENT : protect(L, traceback_body, &args, 0);
}

/* -- below metamethods -------------------------------------------------------------------- */

static int is_table(lua_State *L, int index) {
  return is_index(L, index) && lua_istable(L, index);
}

/* Neither reading below metamethods raises. */
RLUA_INTERNAL int rlua_c_rawget(lua_State *L, int index) {
  if (!is_table(L, index) || lua_gettop(L) < 1) return REFUSED_ARGUMENT;
  lua_rawget(L, index);
  return LUA_OK;
}
RLUA_INTERNAL int rlua_c_rawgeti(lua_State *L, int index, lua_Integer key) {
  if (!is_table(L, index)) return REFUSED_ARGUMENT;
  if (!lua_checkstack(L, 1)) return REFUSED_STACK;
  lua_rawgeti(L, index, key);
  return LUA_OK;
}

BODY(rawset_body) {
  lua_rawset(L, ARGS->index);
}
RLUA_INTERNAL int rlua_c_rawset(lua_State *L, int index) {
  Args args = {.index = index};
  return is_table(L, index) ? protect(L, rawset_body, &args, 2) : REFUSED_ARGUMENT;
}

BODY(rawseti_body) {
  lua_rawseti(L, ARGS->index, ARGS->integer);
}
RLUA_INTERNAL int rlua_c_rawseti(lua_State *L, int index, lua_Integer key) {
  Args args = {.index = index, .integer = key};
  return is_table(L, index) ? protect(L, rawseti_body, &args, 1) : REFUSED_ARGUMENT;
}

BODY(getsubtable_body) {
  ARGS->flag = luaL_getsubtable(L, ARGS->index, ARGS->name);
}
RLUA_INTERNAL int rlua_c_getsubtable(lua_State *L, int index, const char *name) {
  Args args = {.index = index, .name = name};
  return is_index(L, index) ? protect(L, getsubtable_body, &args, 0) : REFUSED_ARGUMENT;
}

/* -- metatables --------------------------------------------------------------------------- */

BODY(newmetatable_body) {
  ARGS->flag = luaL_newmetatable(L, ARGS->name);
}
RLUA_INTERNAL int rlua_c_newmetatable(lua_State *L, const char *name, int *made) {
  Args args = {.name = name};
  int status = protect(L, newmetatable_body, &args, 0);
  *made = status == LUA_OK && args.flag;
  return status;
}

BODY(getmetatable_body) {
  luaL_getmetatable(L, ARGS->name);
}
RLUA_INTERNAL int rlua_c_getmetatable(lua_State *L, const char *name) {
  Args args = {.name = name};
  return protect(L, getmetatable_body, &args, 0);
}

/* A name that nobody gave leaves the value as it is. */
BODY(setmetatable_body) {
  ARGS->flag = luaL_getmetatable(L, ARGS->name) == LUA_TTABLE;
  if (ARGS->flag) lua_setmetatable(L, -2);
  else lua_pop(L, 1);
}
RLUA_INTERNAL int rlua_c_setmetatable(lua_State *L, const char *name) {
  Args args = {.name = name};
  if (lua_gettop(L) < 1) return REFUSED_ARGUMENT;
  int status = protect(L, setmetatable_body, &args, 0);
  return status == LUA_OK && !args.flag ? REFUSED_ARGUMENT : status;
}

BODY(testudata_body) {
  ARGS->block = luaL_testudata(L, ARGS->index, ARGS->name);
}
RLUA_INTERNAL int rlua_c_testudata(lua_State *L, int index, const char *name, void **block) {
  Args args = {.index = index, .name = name};
  *block = NULL;
  if (!is_index(L, index)) return REFUSED_ARGUMENT;
  int status = protect(L, testudata_body, &args, 0);
  *block = status == LUA_OK ? args.block : NULL;
  return status;
}

/* -- the stack and its variables ---------------------------------------------------------- */

BODY(settop_body) {
  lua_settop(L, ARGS->index);
}
/* Dropping slots may close variables, which runs Lua. */
RLUA_INTERNAL int rlua_c_settop(lua_State *L, int index) {
  int top = lua_gettop(L);
  if (index < 0 && -(index + 1) > top) return REFUSED_ARGUMENT;
  int wanted = index >= 0 ? index : top + index + 1;
  if (wanted >= top || L->tbclist.p < L->ci->func.p + 1 + wanted) {
    if (wanted > top && !lua_checkstack(L, wanted - top)) return REFUSED_STACK;
    lua_settop(L, wanted);
    return LUA_OK;
  }
  Args args = {.index = wanted};
  return protect(L, settop_body, &args, top - wanted);
}

/* Whether an index names a slot of this frame. */
static int is_slot(lua_State *L, int index) {
  return index > LUA_REGISTRYINDEX && is_index(L, index) && lua_absindex(L, index) <= lua_gettop(L);
}

BODY(toclose_body) {
  lua_toclose(L, ARGS->index);
}
RLUA_INTERNAL int rlua_c_toclose(lua_State *L, int index) {
  Args args = {.index = index};
  if (!is_slot(L, index)) return REFUSED_ARGUMENT;
  if (L->tbclist.p >= index2stack(L, index)) return REFUSED_ARGUMENT;
  return protect(L, toclose_body, &args, 0);
}

BODY(closeslot_body) {
  lua_closeslot(L, ARGS->index);
}
RLUA_INTERNAL int rlua_c_closeslot(lua_State *L, int index) {
  Args args = {.index = index};
  if (!is_slot(L, index)) return REFUSED_ARGUMENT;
  if (L->tbclist.p != index2stack(L, index)) return REFUSED_ARGUMENT;
  return protect(L, closeslot_body, &args, 0);
}

/* Moving raises nothing, given room. The caller has seen that both are of one VM. */
RLUA_INTERNAL int rlua_c_xmove(lua_State *from, lua_State *to, int count) {
  if (count < 0 || lua_gettop(from) < count) return REFUSED_ARGUMENT;
  if (from == to) return LUA_OK;
  if (!lua_checkstack(to, count)) return REFUSED_STACK;
  lua_xmove(from, to, count);
  return LUA_OK;
}
