/* objects.c: protected calls that make objects, combine values, and work below metamethods.
 *
 * Part of the one translation unit, behind protect.h. Contracts: objects.h.
 */

/* -- making ------------------------------------------------------------------------------------ */

#define MAX_USER_VALUES 32766 /* lua_newuserdatauv asserts less than SHRT_MAX */

BODY(newuserdata_body) {
  ARGS->block = lua_newuserdatauv(L, ARGS->length, ARGS->count);
}

int rlua_newuserdata(lua_State *L, size_t size, int nuvalue, void **block) {
  if (block != NULL) *block = NULL;
  ENTER;
  REFUSE_IF(nuvalue < 0 || nuvalue > MAX_USER_VALUES, "nuvalue = %d is outside 0 to %d", nuvalue,
            MAX_USER_VALUES);
  ROOM(3);
  Args args = {.length = size, .count = nuvalue};
  int status = PROTECT(newuserdata_body, 0);
  if (status == LUA_OK && block != NULL) *block = args.block;
  FINISH(status);
}

BODY(newthread_body) {
  ARGS->block = lua_newthread(L);
}

int rlua_newthread(lua_State *L, lua_State **thread) {
  if (thread != NULL) *thread = NULL;
  ENTER;
  NOT_NULL(thread);
  ROOM(3);
  Args args = {0};
  int status = PROTECT(newthread_body, 0);
  if (status == LUA_OK) *thread = args.block;
  FINISH(status);
}

BODY(pushcclosure_body) {
  lua_pushcclosure(L, ARGS->function, ARGS->count);
}

int rlua_pushcclosure(lua_State *L, lua_CFunction function, int upvalues) {
  ENTER;
  NOT_NULL(function);
  REFUSE_IF(upvalues < 0 || upvalues > MAXUPVAL, "upvalues = %d is outside 0 to %d", upvalues,
            MAXUPVAL);
  Args args = {.function = function, .count = upvalues};
  RUN(pushcclosure_body, upvalues);
}

BODY(requiref_body) {
  luaL_requiref(L, ARGS->name, ARGS->function, ARGS->flag);
}

int rlua_requiref(lua_State *L, const char *name, lua_CFunction open, int global) {
  ENTER;
  NOT_NULL(name);
  NOT_NULL(open);
  MAY_CALL;
  ROOM(5); /* luaL_requiref checks for none of what it pushes */
  Args args = {.name = name, .function = open, .flag = global};
  RUN(requiref_body, 0);
}

/* -- combining --------------------------------------------------------------------------------- */

BODY(len_body) {
  lua_len(L, ARGS->index);
}

int rlua_len(lua_State *L, int index) {
  ENTER;
  INDEX(index);
  Args args = {.index = index};
  RUN(len_body, 0);
}

BODY(concat_body) {
  lua_concat(L, ARGS->count);
}

int rlua_concat(lua_State *L, int count) {
  ENTER;
  REFUSE_IF(count < 0, "count = %d is negative", count);
  Args args = {.count = count};
  RUN(concat_body, count);
}

BODY(compare_body) {
  ARGS->flag = lua_compare(L, ARGS->index, ARGS->count, ARGS->results);
}

int rlua_compare(lua_State *L, int first, int second, int op, int *result) {
  ENTER;
  NOT_NULL(result);
  *result = 0;
  REFUSE_IF(op < LUA_OPEQ || op > LUA_OPLE, "op = %d is no comparison", op);
  INDEX(first);
  INDEX(second);
  ROOM(3);
  Args args = {.index = first, .count = second, .results = op};
  int status = PROTECT(compare_body, 0);
  *result = status == LUA_OK && args.flag;
  FINISH(status);
}

BODY(arith_body) {
  lua_arith(L, ARGS->flag);
}

int rlua_arith(lua_State *L, int op) {
  ENTER;
  REFUSE_IF(op < LUA_OPADD || op > LUA_OPBNOT, "op = %d is no operation", op);
  int operands = op == LUA_OPUNM || op == LUA_OPBNOT ? 1 : 2;
  Args args = {.flag = op};
  RUN(arith_body, operands);
}

BODY(pushtostring_body) {
  luaL_tolstring(L, ARGS->index, NULL);
}

int rlua_pushtostring(lua_State *L, int index) {
  ENTER;
  INDEX(index);
  if (lua_isnone(L, index)) return refuse_free(L, &hold, __func__, "index", index);
  Args args = {.index = index};
  RUN(pushtostring_body, 0);
}

BODY(traceback_body) {
  luaL_traceback(L, ARGS->block, ARGS->text, ARGS->count);
}

int rlua_traceback(lua_State *L, lua_State *of, const char *message, int level) {
  ENTER;
  NOT_NULL(of);
  REFUSE_IF(!hooks.same(L, of), "of is no thread of the VM that L belongs to");
  REFUSE_IF(level < 0, "level = %d is negative", level);
  /* luaL_traceback counts on from the level, so one that no stack has must not be near the end. */
  int first = level < LUAI_MAXSTACK ? level : LUAI_MAXSTACK;
  Args args = {.block = of, .text = message, .count = first};
  RUN(traceback_body, 0);
}

/* -- below metamethods ------------------------------------------------------------------------- */

/* Neither reading below metamethods raises. */

int rlua_rawget(lua_State *L, int index) {
  ENTER;
  TABLE(index);
  TAKES(1);
  lua_rawget(L, index);
  FINISH(LUA_OK);
}

int rlua_rawgeti(lua_State *L, int index, lua_Integer key) {
  ENTER;
  TABLE(index);
  ROOM(1);
  lua_rawgeti(L, index, key);
  FINISH(LUA_OK);
}

BODY(rawset_body) {
  lua_rawset(L, ARGS->index);
}

int rlua_rawset(lua_State *L, int index) {
  ENTER;
  TABLE(index);
  Args args = {.index = index};
  RUN(rawset_body, 2);
}

BODY(rawseti_body) {
  lua_rawseti(L, ARGS->index, ARGS->integer);
}

int rlua_rawseti(lua_State *L, int index, lua_Integer key) {
  ENTER;
  TABLE(index);
  Args args = {.index = index, .integer = key};
  RUN(rawseti_body, 1);
}

BODY(getsubtable_body) {
  ARGS->flag = luaL_getsubtable(L, ARGS->index, ARGS->name);
}

int rlua_getsubtable(lua_State *L, int index, const char *name) {
  ENTER;
  NOT_NULL(name);
  INDEX(index);
  Args args = {.index = index, .name = name};
  RUN(getsubtable_body, 0);
}

/* -- metatables -------------------------------------------------------------------------------- */

BODY(newmetatable_body) {
  ARGS->flag = luaL_newmetatable(L, ARGS->name);
}

int rlua_newmetatable(lua_State *L, const char *name, int *made) {
  if (made != NULL) *made = 0;
  ENTER;
  NOT_NULL(name);
  ROOM(3);
  Args args = {.name = name};
  int status = PROTECT(newmetatable_body, 0);
  if (made != NULL) *made = status == LUA_OK && args.flag;
  FINISH(status);
}

BODY(getmetatable_body) {
  luaL_getmetatable(L, ARGS->name);
}

int rlua_getmetatable(lua_State *L, const char *name) {
  ENTER;
  NOT_NULL(name);
  Args args = {.name = name};
  RUN(getmetatable_body, 0);
}

/* A name that nobody gave leaves the value as it is. */
BODY(setmetatable_body) {
  ARGS->flag = luaL_getmetatable(L, ARGS->name) == LUA_TTABLE;
  if (ARGS->flag) lua_setmetatable(L, -2);
  else lua_pop(L, 1);
}

int rlua_setmetatable(lua_State *L, const char *name) {
  ENTER;
  NOT_NULL(name);
  TAKES(1);
  ROOM(3);
  Args args = {.name = name};
  int status = PROTECT(setmetatable_body, 0);
  REFUSE_IF(status == LUA_OK && !args.flag, "name = \"%.80s\" names no metatable in the registry",
            name);
  FINISH(status);
}

BODY(testudata_body) {
  ARGS->block = luaL_testudata(L, ARGS->index, ARGS->name);
}

int rlua_testudata(lua_State *L, int index, const char *name, void **block) {
  if (block != NULL) *block = NULL;
  ENTER;
  NOT_NULL(name);
  NOT_NULL(block);
  INDEX(index);
  ROOM(3);
  Args args = {.index = index, .name = name};
  int status = PROTECT(testudata_body, 0);
  if (status == LUA_OK) *block = args.block;
  FINISH(status);
}
