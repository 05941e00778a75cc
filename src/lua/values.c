/* values.c: protected calls on tables and plain values.
 *
 * Part of the one translation unit, behind protect.h. Contracts: calls.h.
 */

/* -- tables ------------------------------------------------------------------------------------ */

BODY(getglobal_body) {
  lua_getglobal(L, ARGS->text);
}

int rlua_getglobal(lua_State *L, const char *name) {
  ENTER;
  NOT_NULL(name);
  Args args = {.text = name};
  RUN(getglobal_body, 0);
}

BODY(setglobal_body) {
  lua_setglobal(L, ARGS->text);
}

int rlua_setglobal(lua_State *L, const char *name) {
  ENTER;
  NOT_NULL(name);
  Args args = {.text = name};
  RUN(setglobal_body, 1);
}

BODY(getfield_body) {
  lua_getfield(L, ARGS->index, ARGS->text);
}

int rlua_getfield(lua_State *L, int index, const char *key) {
  ENTER;
  NOT_NULL(key);
  INDEX(index);
  Args args = {.index = index, .text = key};
  RUN(getfield_body, 0);
}

BODY(setfield_body) {
  lua_setfield(L, ARGS->index, ARGS->text);
}

int rlua_setfield(lua_State *L, int index, const char *key) {
  ENTER;
  NOT_NULL(key);
  INDEX(index);
  Args args = {.index = index, .text = key};
  RUN(setfield_body, 1);
}

BODY(geti_body) {
  lua_geti(L, ARGS->index, ARGS->integer);
}

int rlua_geti(lua_State *L, int index, lua_Integer key) {
  ENTER;
  INDEX(index);
  Args args = {.index = index, .integer = key};
  RUN(geti_body, 0);
}

BODY(seti_body) {
  lua_seti(L, ARGS->index, ARGS->integer);
}

int rlua_seti(lua_State *L, int index, lua_Integer key) {
  ENTER;
  INDEX(index);
  Args args = {.index = index, .integer = key};
  RUN(seti_body, 1);
}

BODY(gettable_body) {
  lua_gettable(L, ARGS->index);
}

int rlua_gettable(lua_State *L, int index) {
  ENTER;
  INDEX(index);
  Args args = {.index = index};
  RUN(gettable_body, 1);
}

BODY(settable_body) {
  lua_settable(L, ARGS->index);
}

int rlua_settable(lua_State *L, int index) {
  ENTER;
  INDEX(index);
  Args args = {.index = index};
  RUN(settable_body, 2);
}

BODY(next_body) {
  ARGS->flag = lua_next(L, ARGS->index);
}

int rlua_next(lua_State *L, int index, int *more) {
  ENTER;
  NOT_NULL(more);
  *more = 0;
  TABLE(index);
  TAKES(1);
  ROOM(3);
  Args args = {.index = index};
  int status = PROTECT(next_body, 1);
  *more = args.flag;
  FINISH(status);
}

BODY(createtable_body) {
  lua_createtable(L, ARGS->count, ARGS->results);
}

int rlua_createtable(lua_State *L, int narr, int nrec) {
  ENTER;
  REFUSE_IF(narr < 0, "narr = %d is negative", narr);
  REFUSE_IF(nrec < 0, "nrec = %d is negative", nrec);
  Args args = {.count = narr, .results = nrec};
  RUN(createtable_body, 0);
}

/* -- values ------------------------------------------------------------------------------------ */

BODY(tolstring_body) {
  ARGS->text = lua_tolstring(L, ARGS->index, &ARGS->length);
}

int rlua_tolstring(lua_State *L, int index, const char **text, size_t *length) {
  if (text != NULL) *text = NULL;
  if (length != NULL) *length = 0;
  ENTER;
  NOT_NULL(text);
  INDEX(index);
  ROOM(3);
  Args args = {.index = index};
  int status = PROTECT(tolstring_body, 0);
  if (status == LUA_OK && args.text != NULL) {
    *text = args.text;
    if (length != NULL) *length = args.length;
  }
  FINISH(status);
}

BODY(pushlstring_body) {
  lua_pushlstring(L, ARGS->text, ARGS->length);
}

int rlua_pushlstring(lua_State *L, const char *text, size_t length) {
  ENTER;
  if (length > 0) NOT_NULL(text);
  Args args = {.text = text, .length = length};
  RUN(pushlstring_body, 0);
}

/* These raise nothing; the room on the stack is what they need. */

int rlua_pushinteger(lua_State *L, lua_Integer value) {
  ENTER;
  ROOM(1);
  lua_pushinteger(L, value);
  FINISH(LUA_OK);
}

int rlua_pushnumber(lua_State *L, lua_Number value) {
  ENTER;
  ROOM(1);
  lua_pushnumber(L, value);
  FINISH(LUA_OK);
}

int rlua_pushboolean(lua_State *L, int value) {
  ENTER;
  ROOM(1);
  lua_pushboolean(L, value);
  FINISH(LUA_OK);
}

int rlua_pushnil(lua_State *L) {
  ENTER;
  ROOM(1);
  lua_pushnil(L);
  FINISH(LUA_OK);
}

int rlua_pushvalue(lua_State *L, int index) {
  ENTER;
  INDEX(index);
  ROOM(1);
  lua_pushvalue(L, index);
  FINISH(LUA_OK);
}
